//! The messages of `injector/api/mesh.proto`, and the clients that send them; generated when the crate is built.

#![allow(missing_docs, reason = "the contract itself is the documentation, and a field's comment comes with it")]
#![allow(clippy::pedantic, reason = "generated")]

tonic::include_proto!("injector.mesh.v1");
