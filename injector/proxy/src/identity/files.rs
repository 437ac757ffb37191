//! What the kubelet projects for the proxy: `token`, `roots.pem`, `mesh.json`. Read anew whenever they are needed, for
//! they change: the token after 48 minutes, the others with the mesh.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::facts::MeshFacts;
use crate::tls::{MOST_BUNDLE, Roots};

/// Bytes of a token. A ServiceAccount's has about 1,200; no header of HTTP carries more than this.
const MOST_TOKEN: u64 = 16 * 1024;
/// Bytes of `mesh.json`: a thousand networks, and much more than that is no list of networks.
const MOST_FACTS: u64 = 64 * 1024;

/// The directory of the projected volume.
#[derive(Clone, Debug)]
pub struct Files(PathBuf);

impl Files {
    /// Reads from there. The error, for a pod that has no such volume, says so.
    pub fn at(directory: PathBuf) -> Result<Self, String> {
        if directory.is_dir() {
            return Ok(Self(directory));
        }
        let place = directory.display();
        Err(format!(
            "{place}: expected the volume with token, roots.pem and mesh.json, found no directory; the pod was made \
             without it, by hand or by an older injector: create the pod again"
        ))
    }

    /// Proves to the issuer which pod this is.
    pub fn token(&self) -> Result<String, String> {
        let (path, bytes) = self.read("token", MOST_TOKEN)?;
        // Not even a byte of it in the error.
        let token =
            String::from_utf8(bytes).map_err(|_| format!("{}: expected a token, got other bytes", path.display()))?;
        let token = token.trim();
        if token.is_empty() {
            Err(format!("{}: expected a token, got nothing", path.display()))
        } else {
            Ok(token.to_owned())
        }
    }

    /// Whom to trust.
    pub fn roots(&self) -> Result<Roots, String> {
        let (path, bytes) = self.read("roots.pem", MOST_BUNDLE)?;
        Roots::parse(&bytes).map_err(|fault| format!("{}: {fault}", path.display()))
    }

    /// Where the control plane is.
    pub fn facts(&self) -> Result<MeshFacts, String> {
        let (path, bytes) = self.read("mesh.json", MOST_FACTS)?;
        MeshFacts::parse(&bytes).map_err(|fault| format!("{}: {fault}", path.display()))
    }

    fn read(&self, name: &str, most: u64) -> Result<(PathBuf, Vec<u8>), String> {
        let path = self.0.join(name);
        let bytes = read(&path, most).map_err(|fault| format!("{}: {fault}", path.display()))?;
        Ok((path, bytes))
    }
}

/// A whole file of at most so many bytes.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(most + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if read as u64 > most { Err(format!("expected at most {most} bytes")) } else { Ok(bytes) }
}
