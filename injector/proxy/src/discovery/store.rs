//! What is known, kept in a file of the pod's memory volume, so that a sidecar that is restarted while the control plane
//! is away goes on with it.
//!
//! The file is a line with its version, then messages `Destination` of the contract, each after its length: what comes
//! from the file goes the way of what comes from the controller.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use prost::Message as _;

use super::known::Known;
use super::wire::{self, Place, Taken};
use crate::api;

/// Its name in the identity directory.
const NAME: &str = "destinations";
const HEADER: &[u8] = b"injector destinations 1\n";

/// The volume has 4 MiB; while a new file replaces the old one both are there, and keys need a few KiB. Some 20,000
/// endpoints of 75 bytes.
const MOST_BYTES: usize = 1536 * 1024;

/// The file.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
    place: Place,
}

impl Store {
    /// In this directory, for a proxy that stands there.
    pub fn new(directory: &Path, place: Place) -> Self {
        Self { path: directory.join(NAME), place }
    }

    /// Writes as many as there is room for, the first ones first; never half of a file.
    pub fn save(&self, known: &[(SocketAddr, Known)]) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&encode(known, &self.place))?;
        fs::rename(&fresh, &self.path)
    }

    /// What was written last, nothing if nothing was. An error is a file that is there and cannot be read.
    pub fn load(&self) -> io::Result<Vec<(SocketAddr, Known)>> {
        match fs::read(&self.path) {
            Ok(bytes) => decode(&bytes, &self.place).ok_or_else(|| io::ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

fn encode(known: &[(SocketAddr, Known)], place: &Place) -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    for (at, known) in known {
        let message = wire::to_destination(*at, known, place).encode_length_delimited_to_vec();
        // One that is too long leaves its room to those after it.
        if bytes.len() + message.len() <= MOST_BYTES {
            bytes.extend(message);
        }
    }
    bytes
}

/// None if it is not such a file.
pub fn decode(bytes: &[u8], place: &Place) -> Option<Vec<(SocketAddr, Known)>> {
    let mut rest = bytes.strip_prefix(HEADER)?;
    let mut known = Vec::new();
    while !rest.is_empty() {
        let message = api::Destination::decode_length_delimited(&mut rest).ok()?;
        let at = wire::address(message.address.as_ref()).ok()?;
        if let Taken::Known(one) = wire::take(None, None, message.state, place).ok()? {
            known.push((at, one));
        }
    }
    Some(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Protocol;
    use std::os::unix::fs::PermissionsExt as _;

    fn place() -> Place {
        Place { trust_domain: "cluster.local".to_owned(), node: "node-1".to_owned() }
    }

    fn group(endpoints: u32) -> Known {
        let endpoint = |number: u32| api::Endpoint {
            address: Some(api::Address { ip: number.to_be_bytes().to_vec(), port: 8080 }),
            mesh: Some(api::Mesh { namespace: "shop".to_owned(), service_account: "web".to_owned(), port: 0 }),
            node: if number == 0 { "node-1".to_owned() } else { "node-2".to_owned() },
            workload: Some(api::Workload { kind: "Deployment".to_owned(), name: "web".to_owned() }),
            ..api::Endpoint::default()
        };
        let state = api::Endpoints {
            endpoints: (0..endpoints).map(endpoint).collect(),
            protocol: api::Protocol::Http.into(),
            ..api::Endpoints::default()
        };
        match wire::take(None, None, Some(api::destination::State::Endpoints(state)), &place()).unwrap() {
            Taken::Known(known) => known,
            other => panic!("{other:?}"),
        }
    }

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("injector-store-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn what_was_saved_is_known_again() {
        let directory = directory("again");
        let store = Store::new(&directory, place());
        assert!(store.load().unwrap().is_empty(), "nothing was saved yet");
        let (first, second) = ("10.0.0.1:80".parse().unwrap(), "[fd00::1]:80".parse().unwrap());
        store.save(&[(second, Known::NotOurs)]).unwrap();
        store.save(&[(first, group(3)), (second, Known::NotOurs)]).unwrap();
        let loaded = store.load().unwrap();
        let [(at, Known::Group(group)), (other, Known::NotOurs)] = &loaded[..] else { panic!("{loaded:?}") };
        assert_eq!((*at, *other), (first, second));
        assert_eq!(group.endpoints().len(), 3);
        assert_eq!(group.endpoints().iter().filter(|endpoint| endpoint.near).count(), 1);
        let peer = group.endpoints()[0].peer.as_ref().unwrap();
        assert_eq!((peer.identity.to_string(), peer.port), ("spiffe://cluster.local/ns/shop/sa/web".to_owned(), 4143));
        let workload = group.endpoints()[0].workload.as_ref().unwrap();
        assert_eq!((group.protocol, &*workload.kind, &*workload.name), (Protocol::Http, "Deployment", "web"));
        let mode = fs::metadata(directory.join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing is left beside it");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_file_is_bounded_and_the_first_ones_are_in_it() {
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let known = [(at(1), group(10_000)), (at(2), group(60_000)), (at(3), group(1))];
        let bytes = encode(&known, &place());
        assert!(bytes.len() <= MOST_BYTES);
        let ports: Vec<u16> = decode(&bytes, &place()).unwrap().iter().map(|(at, _)| at.port()).collect();
        assert_eq!(ports, [1, 3]);
    }

    #[test]
    fn what_is_no_such_file_is_an_error() {
        let whole = encode(&[("10.0.0.1:80".parse().unwrap(), group(2))], &place());
        for bytes in
            [&b""[..], b"injector destinations 2\n", &whole[..whole.len() - 1], &[&whole[..], b"\xff"].concat()]
        {
            assert!(decode(bytes, &place()).is_none(), "{bytes:?}");
        }
        let directory = directory("broken");
        fs::write(directory.join(NAME), b"nonsense").unwrap();
        assert_eq!(Store::new(&directory, place()).load().unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::remove_dir_all(directory).unwrap();
    }
}
