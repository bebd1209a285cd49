use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a photograph was taken, by the Exif data of its file, and by XMP where that says nothing. Nothing of it is checked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Photo {
    /// Date and time by the camera's clock, with the offset from UTC only if the file has it. Only a date, a month or a year
    /// if the file has no more.
    #[schemars(example = &"2026-07-09T18:23:45+02:00")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<String>,
    /// The camera's manufacturer.
    #[schemars(example = &"FUJIFILM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub make: Option<String>,
    #[schemars(example = &"X-T5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[schemars(example = &"XF23mmF1.4 R LM WR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lens: Option<String>,
    /// Seconds.
    #[schemars(example = 0.004)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure_time: Option<f64>,
    #[schemars(example = 2.8)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f_number: Option<f64>,
    /// Sensitivity by ISO 12232.
    #[schemars(example = 400)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iso: Option<u32>,
    /// Millimeters.
    #[schemars(example = 23.0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focal_length: Option<f64>,
    /// Only its owner sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// Where a photograph was taken, in WGS 84.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Degrees, north of the equator positive.
    #[schemars(example = 48.208_176)]
    pub latitude: f64,
    /// Degrees, east of Greenwich positive.
    #[schemars(example = 16.373_819)]
    pub longitude: f64,
    /// Meters above sea level.
    #[schemars(example = 171.0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub altitude: Option<f64>,
}

impl Photo {
    /// What others than the owner may see.
    pub fn without_place(&self) -> Self {
        Self { place: None, ..self.clone() }
    }
}
