//! The certificate authorities that connections to AWS trust.

use std::fs::File;
use std::io::{BufRead, BufReader, Result};
use std::{env, mem};

use aws_smithy_http_client::tls::TrustStore;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

/// Where Amazon Linux and Debian keep those that the system trusts.
const BUNDLES: [&str; 2] = ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt"];

/// Texts in the names of Amazon's certificate authorities: "Amazon Root CA 1" to 4, those of the European Sovereign Cloud,
/// and the older one that they are compatible with (<https://www.amazontrust.com/repository>).
const NAMES: [&[u8]; 2] = [b"Amazon Root", b"Starfield Services Root"];

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END: &[u8] = b"-----END CERTIFICATE-----";

/// Characters of a certificate's base64 that are searched for a name. The issuer, which in these certificates is the
/// subject, comes after some 50 bytes and ends before byte 200 (RFC 5280, 4.1).
const SEARCHED: usize = 384;

/// Amazon's authorities out of those that the system trusts: AWS's services have certificates of no others, and to parse all
/// 140 takes most of a start. All of the system's in China, whose services may have others, where `SSL_CERT_FILE` or
/// `SSL_CERT_DIR` names them, and where Amazon's are not found.
pub(crate) fn trust_store(region: &str) -> TrustStore {
    let chosen = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| env::var_os(name).is_some());
    if chosen || region.starts_with("cn-") {
        return TrustStore::default();
    }
    let bundle = BUNDLES.iter().find_map(|path| File::open(path).ok());
    let found = bundle.and_then(|bundle| amazons(BufReader::new(bundle)).ok()).unwrap_or_default();
    if found.is_empty() {
        return TrustStore::default();
    }
    found.into_iter().fold(TrustStore::empty(), TrustStore::with_pem_certificate)
}

/// Amazon's certificates in a bundle, each as PEM.
fn amazons(mut bundle: impl BufRead) -> Result<Vec<Vec<u8>>> {
    let (mut found, mut pem) = (Vec::new(), Vec::new());
    loop {
        let start = pem.len();
        if bundle.read_until(b'\n', &mut pem)? == 0 {
            return Ok(found);
        }
        match pem[start..].trim_ascii_end() {
            BEGIN => drop(pem.drain(..start)),
            END if is_amazons(&pem) => found.push(mem::take(&mut pem)),
            END => pem.clear(),
            _ => {}
        }
    }
}

fn is_amazons(pem: &[u8]) -> bool {
    let Some(text) = pem.strip_prefix(BEGIN) else { return false };
    let letters = text.iter().copied().filter(|letter| !letter.is_ascii_whitespace());
    let base64: Vec<u8> = letters.take_while(|&letter| letter != b'-').take(SEARCHED).collect();
    let certificate = STANDARD.decode(base64).unwrap_or_default();
    NAMES.iter().any(|name| memmem::find(&certificate, name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(content: &str, line: usize) -> String {
        let base64 = STANDARD.encode(content);
        let lines: Vec<&str> = base64.as_bytes().chunks(line).map(|line| str::from_utf8(line).unwrap()).collect();
        let [begin, end] = [BEGIN, END].map(|mark| str::from_utf8(mark).unwrap());
        format!("{begin}\n{}\n{end}\n", lines.join("\n"))
    }

    #[test]
    fn amazons_certificates_are_found_in_a_bundle() {
        let long = format!("{}Amazon Root CA 1{}", "0".repeat(150), "1".repeat(1500));
        let [one, two] = [pem(&long, 64), pem("Starfield Services Root Certificate Authority - G2", 76)];
        let [other, similar] = [pem(&"A".repeat(2000), 64), pem("Amazing", 64)];
        let bundle = format!("# One\n{other}\n\n# Amazon Root CA 9\n{one}\n{similar}\n{two}{BEGIN:?}\nnone\n");
        assert_eq!(amazons(bundle.as_bytes()).unwrap(), [one.as_bytes(), two.as_bytes()]);
        for nothing in
            ["", "-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "\u{fffd}"]
        {
            assert!(amazons(nothing.as_bytes()).unwrap().is_empty(), "{nothing:?}");
        }
        let unterminated = one.trim_end();
        assert_eq!(amazons(unterminated.as_bytes()).unwrap(), [unterminated.as_bytes()]);
    }
}
