//! Blobs in a [`Place`].

mod draft;
mod source;

use std::sync::Arc;

pub(crate) use draft::FarWriter;
pub(crate) use source::FarSource;

use crate::id::Names;
use crate::place::Place;

#[derive(Debug)]
pub(crate) struct Far {
    pub(crate) place: Arc<dyn Place>,
    pub(crate) names: Names,
}
