//! The certificate authorities that connections to AWS trust.

use std::path::Path;
use std::{env, fs};

use aws_smithy_http_client::tls::TrustStore;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Where Amazon Linux and Debian keep those that the system trusts.
const BUNDLES: [&str; 2] = ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt"];

/// Texts in the names of Amazon's certificate authorities: "Amazon Root CA 1" to 4, those of the European Sovereign Cloud,
/// and the older one that they are compatible with (<https://www.amazontrust.com/repository>).
const NAMES: [&[u8]; 2] = [b"Amazon Root", b"Starfield Services Root"];

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Amazon's authorities out of those that the system trusts: AWS's services have certificates of no others, and to parse all
/// 140 takes most of a start. All of the system's in China, whose services may have others, where `SSL_CERT_FILE` or
/// `SSL_CERT_DIR` names them, and where Amazon's are not found.
pub(crate) fn trust_store(region: &str) -> TrustStore {
    let chosen = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| env::var_os(name).is_some());
    if chosen || region.starts_with("cn-") {
        return TrustStore::default();
    }
    let bundle = BUNDLES.iter().map(Path::new).find_map(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let mut found = amazons(&bundle).peekable();
    if found.peek().is_none() {
        return TrustStore::default();
    }
    found.fold(TrustStore::empty(), |store, certificate| store.with_pem_certificate(certificate))
}

/// Amazon's certificates in a bundle, each as PEM.
fn amazons(bundle: &str) -> impl Iterator<Item = &str> {
    bundle.split_inclusive(END).filter_map(|text| {
        let pem = &text[text.find(BEGIN)?..];
        let base64: String = pem.strip_prefix(BEGIN)?.strip_suffix(END)?.split_ascii_whitespace().collect();
        let certificate = STANDARD.decode(base64).ok()?;
        let is_named = |name: &&[u8]| certificate.windows(name.len()).any(|window| window == *name);
        NAMES.iter().any(is_named).then_some(pem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(content: &str) -> String {
        let base64 = STANDARD.encode(content);
        let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
        format!("{BEGIN}\n{}\n{END}", lines.join("\n"))
    }

    #[test]
    fn amazons_certificates_are_found_in_a_bundle() {
        let [one, two] = [
            pem("issuer: Amazon Root CA 1, and more than one line of it in this certificate's text"),
            pem("Starfield Services Root Certificate Authority - G2"),
        ];
        let bundle =
            format!("# One\n{}\n\n# Amazon Root CA 9\n{one}\n{}\n{two}\n{BEGIN}\nnone\n", pem("A"), pem("Amazing"));
        assert_eq!(amazons(&bundle).collect::<Vec<_>>(), [one, two]);
        assert_eq!(amazons("").count() + amazons(END).count() + amazons(&format!("{END}{BEGIN}")).count(), 0);
    }
}
