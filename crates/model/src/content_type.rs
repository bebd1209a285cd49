//! The types of images and how they are recognised.

/// A type of image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentType {
    Jpeg,
    Png,
    WebP,
    Gif,
    Tiff,
    Bmp,
    Heic,
    Avif,
}

/// The media type is not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {}", ContentType::ALL.map(ContentType::as_str).join(", "))]
pub struct UnknownContentType;

/// What is known of a type.
struct Facts {
    /// As people call it.
    name: &'static str,
    /// The registered media type.
    media_type: &'static str,
    /// Other media types that programs use for it.
    aliases: &'static [&'static str],
    /// Without the dot; that of URLs first.
    extensions: &'static [&'static str],
}

impl ContentType {
    pub const ALL: [Self; 8] =
        [Self::Jpeg, Self::Png, Self::WebP, Self::Gif, Self::Tiff, Self::Bmp, Self::Heic, Self::Avif];

    const fn facts(self) -> Facts {
        match self {
            Self::Jpeg => Facts {
                name: "JPEG",
                media_type: "image/jpeg",
                aliases: &["image/jpg", "image/pjpeg"],
                extensions: &["jpg", "jpeg", "jpe", "jfif", "pjpeg", "pjp"],
            },
            Self::Png => {
                Facts { name: "PNG", media_type: "image/png", aliases: &["image/x-png"], extensions: &["png", "apng"] }
            }
            Self::WebP => Facts { name: "WebP", media_type: "image/webp", aliases: &[], extensions: &["webp"] },
            Self::Gif => Facts { name: "GIF", media_type: "image/gif", aliases: &[], extensions: &["gif"] },
            Self::Tiff => Facts {
                name: "TIFF",
                media_type: "image/tiff",
                aliases: &["image/tif", "image/x-tiff"],
                extensions: &["tiff", "tif"],
            },
            Self::Bmp => Facts {
                name: "BMP",
                media_type: "image/bmp",
                aliases: &["image/x-bmp", "image/x-ms-bmp"],
                extensions: &["bmp", "dib"],
            },
            Self::Heic => Facts {
                name: "HEIC",
                media_type: "image/heic",
                aliases: &["image/heif", "image/heic-sequence", "image/heif-sequence"],
                extensions: &["heic", "heif", "hif", "heics", "heifs"],
            },
            Self::Avif => Facts {
                name: "AVIF",
                media_type: "image/avif",
                aliases: &["image/avif-sequence"],
                extensions: &["avif", "avifs"],
            },
        }
    }

    /// As people call it.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The registered media type.
    pub const fn as_str(self) -> &'static str {
        self.facts().media_type
    }

    /// The extensions of its files in lower case, without the dot.
    pub const fn extensions(self) -> &'static [&'static str] {
        self.facts().extensions
    }

    /// Without the dot. URLs have only this spelling.
    pub const fn extension(self) -> &'static str {
        self.extensions()[0]
    }

    /// The type of the files with this extension, in any case.
    pub fn of_extension(extension: &str) -> Option<Self> {
        let extension = extension.to_ascii_lowercase();
        Self::ALL.into_iter().find(|kind| kind.extensions().contains(&extension.as_str()))
    }

    /// Parses the registered media type.
    pub fn parse(text: &str) -> Result<Self, UnknownContentType> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownContentType)
    }

    /// Parses the media type of a client: in any case, with parameters, or an alias that programs use.
    pub fn parse_declared(text: &str) -> Result<Self, UnknownContentType> {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let alias = |kind: &Self| kind.facts().aliases.contains(&essence.as_str());
        Self::ALL.into_iter().find(alias).map_or_else(|| Self::parse(&essence), Ok)
    }

    /// Detects the type of a file from its first [`SNIFFED_BYTES`].
    pub fn sniff(start: &[u8]) -> Option<Self> {
        match format_of(start)? {
            Format::Supported(kind) => Some(kind),
            Format::Other(_) => None,
        }
    }
}

/// The bytes that [`ContentType::sniff`] and [`other_format`] look at.
pub const SNIFFED_BYTES: usize = 64;

/// The name of an unsupported format that users often upload, from its first [`SNIFFED_BYTES`].
pub fn other_format(start: &[u8]) -> Option<&'static str> {
    match format_of(start)? {
        Format::Supported(_) => None,
        Format::Other(name) => Some(name),
    }
}

enum Format {
    Supported(ContentType),
    /// Its name.
    Other(&'static str),
}

fn format_of(start: &[u8]) -> Option<Format> {
    if start.get(4..8) == Some(b"ftyp") {
        return Some(format_of_brands(start));
    }
    let known: [(&[u8], Format); 12] = [
        (b"\xFF\xD8\xFF", Format::Supported(ContentType::Jpeg)),
        (b"\x89PNG\r\n\x1A\n", Format::Supported(ContentType::Png)),
        (b"GIF87a", Format::Supported(ContentType::Gif)),
        (b"GIF89a", Format::Supported(ContentType::Gif)),
        (b"\xFF\x0A", Format::Other("JPEG XL")),
        (b"\0\0\0\x0CJXL ", Format::Other("JPEG XL")),
        (b"II*\0", Format::Supported(ContentType::Tiff)),
        (b"MM\0*", Format::Supported(ContentType::Tiff)),
        (b"\0\0\0\x0CjP  ", Format::Other("JPEG 2000")),
        (b"%PDF-", Format::Other("PDF")),
        (b"8BPS", Format::Other("Photoshop")),
        (b"\x1A\x45\xDF\xA3", Format::Other("video")),
    ];
    if let Some((_, format)) = known.into_iter().find(|(magic, _)| start.starts_with(magic)) {
        return Some(format);
    }
    match (start.get(..4), start.get(8..12)) {
        (Some(b"RIFF"), Some(b"WEBP")) => Some(Format::Supported(ContentType::WebP)),
        (Some(b"RIFF"), Some(b"AVI ")) => Some(Format::Other("video")),
        // Two letters are weak evidence: the reserved words of the header must be zero too.
        _ if start.starts_with(b"BM") && start.get(6..10) == Some(&[0; 4]) => Some(Format::Supported(ContentType::Bmp)),
        _ => None,
    }
}

/// ISO/IEC 14496-12, section 4.3: the major brand, a version, then compatible brands.
fn format_of_brands(start: &[u8]) -> Format {
    let compatible = || start.get(16..).unwrap_or_default().as_chunks::<4>().0.iter();
    match start.get(8..12).unwrap_or_default() {
        b"avif" | b"avis" => Format::Supported(ContentType::Avif),
        b"mif1" | b"msf1" if compatible().any(|brand| matches!(brand, b"avif" | b"avis")) => {
            Format::Supported(ContentType::Avif)
        }
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => {
            Format::Supported(ContentType::Heic)
        }
        b"crx " => Format::Other("RAW"),
        _ => Format::Other("video"),
    }
}

impl serde::Serialize for ContentType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_back() {
        for kind in ContentType::ALL {
            assert_eq!(ContentType::parse(kind.as_str()), Ok(kind));
        }
        assert_eq!(ContentType::parse("image/jpg"), Err(UnknownContentType));
        assert_eq!(ContentType::parse_declared("image/jpg"), Ok(ContentType::Jpeg));
        assert!(UnknownContentType.to_string().starts_with("must be one of image/jpeg, image/png"));
    }

    /// The web page's test of `formats.ts` reads the same file.
    #[test]
    fn files_are_recognised_as_the_web_page_does() {
        let cases: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../../../tests/signatures.json")).expect("a list");
        for case in cases {
            let text = |name: &str| case[name].as_str().unwrap_or_default();
            // Each character is a byte.
            let start: Vec<u8> = text("start").chars().map(|letter| u8::try_from(letter).expect("a byte")).collect();
            let found = ContentType::sniff(&start).map(ContentType::name);
            assert_eq!(found.or_else(|| other_format(&start)).unwrap_or_default(), text("name"), "{case}");
        }
    }

    #[test]
    fn an_extension_belongs_to_one_type() {
        let mut all: Vec<&str> = ContentType::ALL.iter().flat_map(|kind| kind.extensions()).copied().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
