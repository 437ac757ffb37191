//! Where key and chain outlive the process: one file in the pod's memory volume, so that a sidecar that is restarted
//! while the control plane is away is back at once.
//!
//! One file, because key and chain belong together and one rename changes both. It holds DER values one after another:
//! the key (PKCS #8), the leaf, its issuer, what stands between that and a root.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;

use super::files::read;
use crate::tls::der::Reader;
use crate::tls::{Key, MOST_CERTIFICATES};

/// The file's name.
const NAME: &str = "identity.der";
/// What it is called until it is complete.
const UNFINISHED: &str = "identity.der.new";
/// Only its owner reads it, and nobody writes it: it is replaced.
const MODE: u32 = 0o400;
/// Bytes: a key of 138, and a chain of at most `MOST_CERTIFICATES` of some kilobytes.
const MOST: u64 = 64 * 1024;

/// A key, the chain for it, and since when we have it.
#[derive(Debug)]
pub struct Certificate {
    /// The leaf's key.
    pub key: Key,
    /// DER, the leaf first, then its issuer.
    pub chain: Vec<CertificateDer<'static>>,
    /// When it was issued, by our clock.
    pub received: SystemTime,
}

/// The place in the memory volume.
#[derive(Clone, Debug)]
pub struct Kept(PathBuf);

impl Kept {
    /// In this directory.
    pub fn at(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// What was kept; none where nothing was. The error says why it cannot be used.
    pub fn load(&self) -> Result<Option<Certificate>, String> {
        let path = self.0.join(NAME);
        let received = match fs::metadata(&path).and_then(|metadata| metadata.modified()) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let bytes = read(&path, MOST).map_err(|fault| format!("{}: {fault}", path.display()))?;
        let bytes = Erased(bytes);
        let (key, chain) =
            parse(&bytes.0).ok_or_else(|| format!("{}: expected a key and its chain", path.display()))?;
        Ok(Some(Certificate { key, chain, received }))
    }

    /// Keeps it in place of what was kept. The error says what the volume refused; nothing kept is lost by it.
    pub fn save(&self, certificate: &Certificate) -> Result<(), String> {
        let (unfinished, path) = (self.0.join(UNFINISHED), self.0.join(NAME));
        let write = || {
            // Left by a process that ended here; a new file, so that its mode is ours.
            match fs::remove_file(&unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file: File = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&unfinished)?;
            file.write_all(certificate.key.pkcs8())?;
            for der in &certificate.chain {
                file.write_all(der)?;
            }
            fs::rename(&unfinished, &path)
        };
        write().map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// Bytes that are overwritten when they are let go, for they hold a key.
struct Erased(Vec<u8>);

impl Drop for Erased {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

fn parse(bytes: &[u8]) -> Option<(Key, Vec<CertificateDer<'static>>)> {
    let mut reader = Reader::new(bytes);
    let key = Key::from_pkcs8(reader.whole()?)?;
    let mut chain = Vec::new();
    while !reader.is_empty() && chain.len() < MOST_CERTIFICATES {
        chain.push(CertificateDer::from(reader.whole()?.to_vec()));
    }
    (reader.is_empty() && !chain.is_empty()).then_some((key, chain))
}
