//! Makes the messages and the clients of `../api/mesh.proto`, with a compiler that is itself a crate: nobody needs protoc.

use std::error::Error;
use std::path::Path;

/// The contract between the control plane and the proxy.
const CONTRACT: &str = "mesh.proto";

fn main() -> Result<(), Box<dyn Error>> {
    let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api");
    println!("cargo::rerun-if-changed={}", api.join(CONTRACT).display());
    let contract = protox::compile([CONTRACT], [&api])?;
    // No `connect` of tonic's own: our connections verify SPIFFE identities (`tls::channel`). The servers are for tests,
    // where a fake control plane speaks the same contract; a linker drops what nobody calls.
    tonic_prost_build::configure().build_transport(false).compile_fds(contract)?;
    Ok(())
}
