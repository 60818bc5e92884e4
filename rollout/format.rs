//! Refuses what a newer or older version wrote, by the format number it carries.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Reads a format number that must be `KNOWN`; for `deserialize_with`.
pub(crate) fn only<'de, D: Deserializer<'de>, const KNOWN: u32>(
    reader: D,
) -> Result<u32, D::Error> {
    match u32::deserialize(reader)? {
        format if format == KNOWN => Ok(format),
        format => Err(D::Error::custom(format_args!(
            "format {format} is not known here, only format {KNOWN}"
        ))),
    }
}
