//! XMP (ISO 16684-1): RDF in XML. The properties of Exif in it are those of CIPA DC-010.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, NamespaceResolver, ResolveResult};
use quick_xml::{NsReader, XmlVersion};
use tintype_model::{Photo, Place};

use super::{Capture, round, text_of};

/// Characters of a value that are kept.
const MAX_VALUE: usize = 400;

const RDF: Namespace<'_> = Namespace("http://www.w3.org/1999/02/22-rdf-syntax-ns#");

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Property {
    Original,
    Created,
    Digitized,
    Make,
    Model,
    LensModel,
    Lens,
    ExposureTime,
    FNumber,
    Sensitivity,
    IsoSpeed,
    FocalLength,
    GpsStatus,
    Latitude,
    Longitude,
    Altitude,
    AltitudeRef,
    DroneLatitude,
    DroneLongitude,
}

/// The properties that are read, by the URI of their namespace and their name in it.
#[rustfmt::skip]
const PROPERTIES: [(&str, &str, Property); 21] = [
    ("http://ns.adobe.com/exif/1.0/", "DateTimeOriginal", Property::Original),
    ("http://ns.adobe.com/photoshop/1.0/", "DateCreated", Property::Created),
    ("http://ns.adobe.com/exif/1.0/", "DateTimeDigitized", Property::Digitized),
    ("http://ns.adobe.com/xap/1.0/", "CreateDate", Property::Digitized),
    ("http://ns.adobe.com/tiff/1.0/", "Make", Property::Make),
    ("http://ns.adobe.com/tiff/1.0/", "Model", Property::Model),
    ("http://cipa.jp/exif/1.0/", "LensModel", Property::LensModel),
    ("http://ns.adobe.com/exif/1.0/aux/", "Lens", Property::Lens),
    ("http://ns.adobe.com/exif/1.0/", "ExposureTime", Property::ExposureTime),
    ("http://ns.adobe.com/exif/1.0/", "FNumber", Property::FNumber),
    ("http://cipa.jp/exif/1.0/", "PhotographicSensitivity", Property::Sensitivity),
    ("http://ns.adobe.com/exif/1.0/", "ISOSpeedRatings", Property::IsoSpeed),
    ("http://ns.adobe.com/exif/1.0/", "FocalLength", Property::FocalLength),
    ("http://ns.adobe.com/exif/1.0/", "GPSStatus", Property::GpsStatus),
    ("http://ns.adobe.com/exif/1.0/", "GPSLatitude", Property::Latitude),
    ("http://ns.adobe.com/exif/1.0/", "GPSLongitude", Property::Longitude),
    ("http://ns.adobe.com/exif/1.0/", "GPSAltitude", Property::Altitude),
    ("http://ns.adobe.com/exif/1.0/", "GPSAltitudeRef", Property::AltitudeRef),
    // Drones, whose programs write both spellings.
    ("http://www.dji.com/drone-dji/1.0/", "GpsLatitude", Property::DroneLatitude),
    ("http://www.dji.com/drone-dji/1.0/", "GpsLongitude", Property::DroneLongitude),
    ("http://www.dji.com/drone-dji/1.0/", "GpsLongtitude", Property::DroneLongitude),
];

/// Reads what an XMP packet says. Invalid parts are left out; of an invalid packet, what comes before the error counts.
pub(super) fn read(packet: &[u8]) -> Capture {
    let mut properties = Properties::default();
    let _ = properties.read(&String::from_utf8_lossy(packet));
    properties.capture()
}

/// The values of properties, the first of each list.
#[derive(Debug, Default)]
struct Properties {
    /// Those of the image itself.
    own: BTreeMap<Property, String>,
    /// Those in structures, such as the places of IPTC.
    nested: BTreeMap<Property, String>,
}

/// An element that is open.
#[derive(Clone, Copy, Debug)]
struct Element {
    kind: ElementKind,
    /// The property whose value it has, and if that is one of the image itself.
    property: Option<(Property, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ElementKind {
    Rdf,
    /// `rdf:Description` in `rdf:RDF`: its attributes and elements are the properties of the image.
    Image,
    Other,
}

impl Properties {
    fn read(&mut self, packet: &str) -> Result<(), quick_xml::Error> {
        let mut reader = NsReader::from_str(packet);
        let mut open: Vec<Element> = Vec::new();
        let mut text = String::new();
        loop {
            // Document types are not read, so there are no entities but those of XML.
            match reader.read_event()? {
                Event::Start(start) => {
                    let element = self.begin(reader.resolver(), &start, open.last());
                    open.push(element);
                    text.clear();
                }
                Event::Empty(start) => {
                    self.begin(reader.resolver(), &start, open.last());
                }
                Event::Text(part) => push(&mut text, &part),
                Event::CData(part) => push(&mut text, &part),
                Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                    Ok(Some(char)) => push(&mut text, char.encode_utf8(&mut [0; 4])),
                    _ => push(&mut text, resolve_xml_entity(&reference).unwrap_or_default()),
                },
                Event::End(_) => {
                    if let Some((property, is_own)) = open.pop().and_then(|element| element.property) {
                        self.add(property, is_own, &text);
                    }
                    text.clear();
                }
                Event::Eof => return Ok(()),
                _ => {}
            }
        }
    }

    /// Reads the attributes of an element, and says what it is.
    fn begin(&mut self, names: &NamespaceResolver, start: &BytesStart<'_>, parent: Option<&Element>) -> Element {
        let (namespace, name) = names.resolve_element(start.name());
        let parent_kind = parent.map_or(ElementKind::Other, |parent| parent.kind);
        let is_rdf = namespace == ResolveResult::Bound(RDF);
        let element = Element {
            kind: match name.as_ref() {
                "RDF" if is_rdf => ElementKind::Rdf,
                "Description" if is_rdf && parent_kind == ElementKind::Rdf => ElementKind::Image,
                _ => ElementKind::Other,
            },
            property: if is_rdf {
                // A list, an entry of one, or a value with qualifiers.
                parent.and_then(|parent| parent.property)
            } else {
                property(namespace, name.as_ref()).map(|property| (property, parent_kind == ElementKind::Image))
            },
        };
        // Duplicates are not checked, which would take quadratic time.
        for attribute in start.attributes().with_checks(false).map_while(Result::ok) {
            let (namespace, name) = names.resolve_attribute(attribute.key);
            if let Some(property) = property(namespace, name.as_ref())
                && let Ok(value) = attribute.normalized_value(XmlVersion::Implicit1_0)
            {
                self.add(property, element.kind == ElementKind::Image, &value);
            }
        }
        element
    }

    fn add(&mut self, property: Property, is_own: bool, value: &str) {
        let value = value.trim();
        if !value.is_empty() {
            let values = if is_own { &mut self.own } else { &mut self.nested };
            values.entry(property).or_insert_with(|| value.chars().take(MAX_VALUE).collect());
        }
    }

    fn capture(&self) -> Capture {
        let get = |property| self.own.get(&property).map(String::as_str);
        let text = |property| get(property).and_then(text_of);
        let time = |property| get(property).and_then(time);
        let iso = |property| get(property)?.parse().ok().filter(|&iso: &u32| iso > 0);
        let positive = |property, precision| {
            let number = round(rational(get(property)?)?, precision);
            (number > 0.0).then_some(number)
        };
        let photo = Photo {
            taken_at: time(Property::Original).or_else(|| time(Property::Created)),
            make: text(Property::Make),
            model: text(Property::Model),
            lens: text(Property::LensModel).or_else(|| text(Property::Lens)),
            exposure_time: positive(Property::ExposureTime, 1e6),
            f_number: positive(Property::FNumber, 1e2),
            iso: iso(Property::Sensitivity).or_else(|| iso(Property::IsoSpeed)),
            focal_length: positive(Property::FocalLength, 1e2),
            place: place(&self.own).or_else(|| place(&self.nested)),
        };
        Capture { photo, digitized_at: time(Property::Digitized) }
    }
}

/// Adds a part of a text, up to [`MAX_VALUE`] characters or some more.
fn push(text: &mut String, part: &str) {
    if text.len() < MAX_VALUE {
        text.extend(part.chars().take(MAX_VALUE));
    }
}

fn property(namespace: ResolveResult<'_>, name: &str) -> Option<Property> {
    let ResolveResult::Bound(Namespace(uri)) = namespace else { return None };
    PROPERTIES.iter().find(|&&(known, property, _)| property == name && known == uri).map(|&(.., property)| property)
}

/// A number, or a fraction such as `1/250`.
fn rational(text: &str) -> Option<f64> {
    let number = |text: &str| text.trim().parse().ok().filter(|number: &f64| number.abs() <= f64::from(u32::MAX));
    match text.split_once('/') {
        None => number(text),
        Some((numerator, denominator)) => {
            let denominator = number(denominator).filter(|&denominator| denominator >= 1.0)?;
            Some(number(numerator)? / denominator)
        }
    }
}

fn place(values: &BTreeMap<Property, String>) -> Option<Place> {
    let get = |property| values.get(&property).map(String::as_str);
    // The receiver had no fix.
    if get(Property::GpsStatus) == Some("V") {
        return None;
    }
    let coordinates = |latitude, longitude| {
        Some((degrees(get(latitude)?, ['N', 'S'], 90.0)?, degrees(get(longitude)?, ['E', 'W'], 180.0)?))
    };
    let (latitude, longitude) = coordinates(Property::Latitude, Property::Longitude)
        .or_else(|| coordinates(Property::DroneLatitude, Property::DroneLongitude))?;
    // 1: below sea level.
    let sign = if get(Property::AltitudeRef) == Some("1") { -1.0 } else { 1.0 };
    let altitude = get(Property::Altitude).and_then(rational).map(|altitude| round(sign * altitude, 10.0));
    Some(Place { latitude, longitude, altitude })
}

/// Degrees of `39,46.52N` or `39,46,31N`, or of a signed number as some programs write it, to 0.1 meters.
fn degrees(text: &str, [positive, negative]: [char; 2], most: f64) -> Option<f64> {
    let is_negative = text.ends_with(negative);
    let numbers = text.strip_suffix([positive, negative]).unwrap_or(text);
    let mut sum = 0.0;
    for (index, number) in numbers.split(',').enumerate() {
        let number = number.trim().parse().ok().filter(|&number: &f64| number.abs() <= most)?;
        sum += number / *[1.0, 60.0, 3600.0].get(index)?;
    }
    let degrees = round(if is_negative { -sum } else { sum }, 1e6);
    (degrees.abs() <= most).then_some(degrees)
}

/// A time as in RFC 3339, without what the text lacks: the offset, the time of day, the day or the month (ISO 16684-1,
/// section 8.2.1.2).
fn time(text: &str) -> Option<String> {
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let mut date_parts = date.splitn(3, '-');
    number(date_parts.next()?, 4, 1..=9999)?;
    for most in [12, 31] {
        if let Some(part) = date_parts.next() {
            number(part, 2, 1..=most)?;
        }
    }
    let Some(time) = time else { return Some(date.to_owned()) };
    if date.len() < 10 {
        return None;
    }
    let (time, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
    };
    let offset = match offset.split_at_checked(1) {
        None => String::new(),
        Some(("Z", "")) => "+00:00".to_owned(),
        Some((_, offset_time)) => {
            let (hours, minutes) = offset_time.split_once(':')?;
            number(hours, 2, 0..=23)?;
            number(minutes, 2, 0..=59)?;
            offset.to_owned()
        }
    };
    // Of seconds, whole ones.
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let mut parts = time.splitn(3, ':');
    let (hour, minute) = (number(parts.next()?, 2, 0..=23)?, number(parts.next()?, 2, 0..=59)?);
    let second = parts.next().map_or(Some(0), |second| number(second, 2, 0..=60))?;
    Some(format!("{date}T{hour:02}:{minute:02}:{second:02}{offset}"))
}

/// A number of `digits` digits.
fn number(text: &str, digits: usize, range: RangeInclusive<u32>) -> Option<u32> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && range.contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with these attributes and elements of `rdf:Description`.
    fn packet(attributes: &str, elements: &str) -> String {
        format!(
            r#"<?xpacket begin="{}" id="W5M0MpCehiHzreSzNTczkc9d"?>
            <x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="test">
            <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
            <rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:aux="http://ns.adobe.com/exif/1.0/aux/"
             xmlns:exifEX="http://cipa.jp/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
             xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
             xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/" {attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta>
            <?xpacket end="w"?>"#,
            '\u{feff}'
        )
    }

    fn read(attributes: &str, elements: &str) -> Capture {
        super::read(packet(attributes, elements).as_bytes())
    }

    fn elements() -> &'static str {
        r#"<exif:DateTimeOriginal>2026-07-09T18:23:45.25-03:30</exif:DateTimeOriginal>
        <xmp:CreateDate>2026-07-10</xmp:CreateDate>
        <tiff:Make> Maker &amp; S&#246;hne </tiff:Make><tiff:Model><![CDATA[<7>]]></tiff:Model>
        <aux:Lens>24-70mm</aux:Lens><exifEX:LensModel>24-70mm f/2.8</exifEX:LensModel>
        <exif:ExposureTime>1/250</exif:ExposureTime><exif:FNumber>28/10</exif:FNumber>
        <exif:ISOSpeedRatings><rdf:Seq><rdf:li>400</rdf:li><rdf:li>800</rdf:li></rdf:Seq></exif:ISOSpeedRatings>
        <exif:FocalLength rdf:parseType="Resource"><rdf:value>57/10</rdf:value></exif:FocalLength>
        <exif:GPSLatitude>33,51,24.84S</exif:GPSLatitude><exif:GPSLongitude>151,12.0E</exif:GPSLongitude>
        <exif:GPSAltitude>25/2</exif:GPSAltitude><exif:GPSAltitudeRef>1</exif:GPSAltitudeRef>"#
    }

    fn whole() -> Capture {
        let photo = Photo {
            taken_at: Some("2026-07-09T18:23:45-03:30".to_owned()),
            make: Some("Maker & S\u{f6}hne".to_owned()),
            model: Some("<7>".to_owned()),
            lens: Some("24-70mm f/2.8".to_owned()),
            exposure_time: Some(0.004),
            f_number: Some(2.8),
            iso: Some(400),
            focal_length: Some(5.7),
            place: Some(Place { latitude: -33.8569, longitude: 151.2, altitude: Some(-12.5) }),
        };
        Capture { photo, digitized_at: Some("2026-07-10".to_owned()) }
    }

    #[test]
    fn properties_are_read_as_elements_and_as_attributes() {
        assert_eq!(read("", elements()), whole());
        let attributes = r#"exif:DateTimeOriginal="2026-07-09T18:23:45-03:30" xmp:CreateDate='2026-07-10'
            tiff:Make="Maker &amp; S&#xF6;hne" tiff:Model="&lt;7&gt;" aux:Lens="24-70mm" exifEX:LensModel="24-70mm f/2.8"
            exif:ExposureTime="1/250" exif:FNumber="2.8" exifEX:PhotographicSensitivity="400" exif:FocalLength="57/10"
            exif:GPSLatitude="33,51.414S" exif:GPSLongitude="151,12,0E" exif:GPSAltitude="12.5" exif:GPSAltitudeRef="1""#;
        assert_eq!(read(attributes, ""), whole());
    }

    #[test]
    fn namespaces_count_and_prefixes_do_not() {
        let renamed = |packet: String, from: &str, to: &str| {
            packet
                .replace(&format!("xmlns:{from}="), &format!("xmlns:{to}="))
                .replace(&format!("{from}:"), &format!("{to}:"))
        };
        let other = [("exif", "a"), ("rdf", "b"), ("tiff", "exif")];
        let other = other.into_iter().fold(packet("", elements()), |packet, (from, to)| renamed(packet, from, to));
        assert_eq!(super::read(other.as_bytes()), whole());
        let foreign = packet("", elements()).replace("http://ns.adobe.com/exif/1.0/\"", "http://example.com/\"");
        assert_eq!(super::read(foreign.as_bytes()).photo.place, None);
        let default = r#"<Make xmlns="http://ns.adobe.com/tiff/1.0/">Maker</Make>"#;
        assert_eq!(read("", default).photo.make.unwrap(), "Maker");
    }

    #[test]
    fn places_of_structures_and_drones_count_if_there_is_no_other() {
        let nested = r#"<l:LocationCreated xmlns:l="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"><rdf:Bag><rdf:li
            rdf:parseType="Resource"><exif:GPSLatitude>1,30N</exif:GPSLatitude><exif:GPSLongitude>2,0W</exif:GPSLongitude>
            <tiff:Make>Nested</tiff:Make></rdf:li></rdf:Bag></l:LocationCreated>"#;
        let place = |attributes, elements| read(attributes, elements).photo.place.map(|it| (it.latitude, it.longitude));
        assert_eq!(place("", nested), Some((1.5, -2.0)));
        assert_eq!(read("", nested).photo.make, None);
        assert_eq!(place(r#"exif:GPSLatitude="5,0N" exif:GPSLongitude="6,0E""#, nested), Some((5.0, 6.0)));
        let drone = r#"drone-dji:GpsLatitude="+47.25" drone-dji:GpsLongtitude="-8.5""#;
        assert_eq!(place(drone, ""), Some((47.25, -8.5)));
    }

    #[test]
    fn invalid_values_are_left_out() {
        let place = |latitude: &str, longitude: &str| {
            let attributes = format!("exif:GPSLatitude='{latitude}' exif:GPSLongitude='{longitude}'");
            read(&attributes, "").photo.place.map(|place| (place.latitude, place.longitude))
        };
        assert_eq!(place("90,0N", "180,0W"), Some((90.0, -180.0)));
        assert_eq!(place("-1.5", "+2"), Some((-1.5, 2.0)));
        for bad in ["", "91,0N", "90,1N", "N", "nanN", "1,2,3,4N", "1;2N", "infN", "1,0E", "1e400N"] {
            assert_eq!(place(bad, "1,0E"), None, "{bad}");
        }
        let attributes = "exif:GPSStatus='V' exif:GPSLatitude='1,0N' exif:GPSLongitude='1,0E'";
        assert_eq!(read(attributes, "").photo.place, None);
        for bad in ["0/1", "1/0", "0", "-1", "nan", "inf", "1e308", "1/-2", "/", "", "1/2/3", "a"] {
            let photo = read(&format!("exif:FNumber='{bad}' exif:ExposureTime='{bad}'"), "").photo;
            assert_eq!((photo.f_number, photo.exposure_time), (None, None), "{bad}");
        }
        assert_eq!(read("exif:ISOSpeedRatings='-5'", "").photo.iso, None);
        assert_eq!(read(&format!("tiff:Model='{}'", "m".repeat(5000)), "").photo.model.unwrap().len(), 100);
    }

    #[test]
    fn dates_may_lack_their_end() {
        for (text, expected) in [
            ("1975", Some("1975")),
            ("1975-08", Some("1975-08")),
            ("1975-08-30", Some("1975-08-30")),
            ("1975-08-30T07:05", Some("1975-08-30T07:05:00")),
            ("1975-08-30T07:05+02:00", Some("1975-08-30T07:05:00+02:00")),
            ("1975-08-30T07:05:09Z", Some("1975-08-30T07:05:09+00:00")),
            ("1975-08-30T07:05:09.123456-11:30", Some("1975-08-30T07:05:09-11:30")),
            ("0000", None),
            ("1975-13", None),
            ("1975-08-32", None),
            ("1975-8-3", None),
            ("1975-08T07:05", None),
            ("1975-08-30T24:00", None),
            ("1975-08-30T07", None),
            ("1975-08-30T07:05:09+2", None),
            ("1975-08-30T07:05:09+24:00", None),
            ("1975-08-30T07:05Zulu", None),
            ("\u{661}975", None),
            ("1975-08-30-01", None),
            ("", None),
        ] {
            assert_eq!(time(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn document_types_and_entities_are_not_read() {
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "Maker"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>"#;
        let elements = "<tiff:Make>&b;</tiff:Make><tiff:Model>A&b;B</tiff:Model>";
        let packet = format!("{bomb}{}", packet("aux:Lens='&b;'", elements));
        let photo = super::read(packet.as_bytes()).photo;
        assert_eq!((photo.make, photo.model.as_deref(), photo.lens), (None, Some("AB"), None));
    }

    #[test]
    fn damaged_packets_give_what_is_there_and_never_fail() {
        let good = packet("tiff:Make='Maker'", elements()).into_bytes();
        for end in 0..good.len() {
            super::read(&good[..end]);
        }
        for at in 0..good.len() {
            for value in [0, b'<', b'>', b'&', b'/', b'"', b'\'', 0xFF] {
                let mut bad = good.clone();
                bad[at] = value;
                super::read(&bad);
            }
        }
        let end = good.windows(9).position(|part| part == b"<exif:ISO").unwrap();
        let cut = super::read(&[&good[..end], b"\xFF\xD8 garbage <"].concat());
        assert_eq!((cut.photo.make.as_deref(), cut.photo.f_number, cut.photo.place), (Some("Maker"), Some(2.8), None));
    }

    #[test]
    fn long_packets_are_read_to_their_end() {
        let maker = |elements: &str| read("", &format!("{elements}<tiff:Make>Maker</tiff:Make>")).photo.make;
        let found = Some("Maker".to_owned());
        let attributes: String = (0..60_000).map(|n| format!(" exif:a{n}='1'")).collect();
        assert_eq!(maker(&format!("<exif:a{attributes}/>")), found);
        assert_eq!(maker(&format!("{}{}", "<exif:a>".repeat(60_000), "</exif:a>".repeat(60_000))), found);
        assert_eq!(maker(&"&a;".repeat(300_000)), found);
        assert_eq!(maker(&"<rdf:li a='&#65;'>&#65;</rdf:li>".repeat(30_000)), found);
        // Each name is looked for in all namespaces, so the parser bounds their number.
        let names: String = (0..60_000).map(|n| format!(" xmlns:a{n}='b'")).collect();
        assert_eq!(maker(&format!("<exif:a{names}/>")), None);
    }
}
