//! Requests that a component makes: none is large.

use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::{HostOutgoingRequest, Method, OutgoingRequest};

use crate::host::Host;
use crate::limits::REQUEST_PART_BYTES_MAX;

/// As in the definitions that the linker was given; those of other versions of 0.2 find it.
const TYPES: &str = "wasi:http/types@0.2.12";

type Set = wasmtime::Result<(Result<(), ()>,)>;

/// Bounds the parts of a request, which the host keeps as long as they come otherwise.
pub(crate) fn bound(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store, (request, method): (Resource<OutgoingRequest>, Method)| -> Set {
            if matches!(&method, Method::Other(name) if is_long(name)) {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_method(request, method)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-path-with-query",
        |mut store, (request, path): (Resource<OutgoingRequest>, Option<String>)| -> Set {
            if path.as_deref().is_some_and(is_long) {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_path_with_query(request, path)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store, (request, authority): (Resource<OutgoingRequest>, Option<String>)| -> Set {
            if authority.as_deref().is_some_and(is_long) {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_authority(request, authority)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

fn is_long(part: &str) -> bool {
    part.len() > REQUEST_PART_BYTES_MAX
}
