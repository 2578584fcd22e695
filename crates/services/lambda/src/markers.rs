//! Where a list goes on: opaque to callers, and put into addresses.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambent_wire::ApiError;

use crate::errors;

/// The marker of the page that begins after this place.
pub(crate) fn write(place: &str) -> String {
    URL_SAFE_NO_PAD.encode(place)
}

/// Errors: InvalidParameterValueException for what no page gave.
pub(crate) fn read(marker: &str) -> Result<String, ApiError> {
    let place = URL_SAFE_NO_PAD.decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    place.ok_or_else(errors::bad_marker)
}
