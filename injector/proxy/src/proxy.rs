//! The sidecar as a whole: built once, certified, announced, run until asked to end.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};
use tracing::info;

use crate::admin::{self, Admin};
use crate::api;
use crate::config::{ADMIN_PORT, Config, INBOUND_PORT, OUTBOUND_PORT, Pod};
use crate::discovery::{self, Client, ClientMetrics, Directory, Place, Store};
use crate::drain;
use crate::http::Http;
use crate::identity::{self, Established, IdentityMetrics, Seeker};
use crate::listen::{At, bind};
use crate::mesh::Mesh;
use crate::metrics::{Exposition, WorkerMetrics};
use crate::orig_dst::original_destination;
use crate::probe::Prober;
use crate::strangers::Strangers;
use crate::worker::{self, Listeners, Worker};

/// Everything opened and nothing yet accepted.
pub struct Proxy {
    config: Config,
    started: Instant,
    runtime: Runtime,
    admin: Vec<std::net::TcpListener>,
    workers: Vec<(Arc<WorkerMetrics>, Listeners)>,
    /// Connections that each worker may carry.
    most: usize,
    seeker: Seeker,
    certificates: Arc<IdentityMetrics>,
}

impl Proxy {
    /// Opens every socket, for a process that may have so many `descriptors` and began at `started`. The error is a
    /// sentence that says which one could not be opened, or that the volume with the pod's token is missing.
    ///
    /// Sockets listen from here on, and nobody accepts before there is a certificate: who connects meanwhile waits in the
    /// backlog. A sidecar that was restarted costs its pod's connections some milliseconds that way, not an error.
    pub fn build(config: Config, descriptors: u64, started: Instant) -> Result<Self, String> {
        let certificates = Arc::new(IdentityMetrics::default());
        let seeker = Seeker::new(whose(&config), Arc::clone(&certificates))?;
        let most = worker::connections_each(descriptors, config.workers.get());
        let shared = config.workers.get() > 1;
        let mut workers = Vec::with_capacity(config.workers.get());
        for _ in 0..config.workers.get() {
            let listeners = Listeners {
                inbound: bind(At::Everywhere(INBOUND_PORT), shared)?,
                outbound: bind(At::Loopback(OUTBOUND_PORT), shared)?,
            };
            workers.push((Arc::default(), listeners));
        }
        let admin = bind(At::Everywhere(ADMIN_PORT), false)?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start the event loop: {error}"))?;
        Ok(Self { config, started, runtime, admin, workers, most, seeker, certificates })
    }

    /// Waits for a certificate, then carries connections until `terminated`, then lets them finish.
    pub fn run(self, terminated: impl Future<Output = io::Result<()>>) -> Result<(), String> {
        let metrics: Vec<Arc<WorkerMetrics>> = self.workers.iter().map(|(one, _)| Arc::clone(one)).collect();
        let prober = Prober::new(self.config.probes.clone(), self.config.pod.ips.first().copied());
        let discovery = Arc::new(ClientMetrics::default());
        let exposition = Exposition::new(
            self.config.pod.clone(),
            self.started,
            metrics.clone(),
            prober.metrics(),
            self.certificates,
            Arc::clone(&discovery),
        );
        let (stop, stopped) = watch::channel(false);
        let admin = Admin { prober, exposition, certified: self.seeker.status(), draining: stopped.clone() };
        self.runtime.block_on(async {
            tokio::spawn(admin::serve(self.admin, Arc::new(admin)));
            let mut terminated = pin!(terminated);
            let unheard = |error| format!("cannot listen for SIGTERM: {error}");
            let established = tokio::select! {
                established = self.seeker.establish() => established,
                ended = &mut terminated => return ended.map_err(unheard),
            };
            announce(&self.config, &established, self.workers.len(), self.started);
            let mesh = Arc::new(join(&self.config, established, discovery));
            let workers = self.workers.into_iter().map(|(metrics, listeners)| {
                (worker_of(&self.config, self.most, metrics, Arc::clone(&mesh)), listeners)
            });
            let finished = start(workers, &stopped).map_err(|error| format!("cannot start a worker: {error}"))?;
            terminated.await.map_err(unheard)?;
            let open = || metrics.iter().map(|worker| worker.open()).sum();
            drain::drain(&stop, finished, self.config.grace, open).await;
            Ok(())
        })
    }
}

/// Takes the pod's place in the mesh, and begins to ask where connections go.
fn join(config: &Config, established: Established, metrics: Arc<ClientMetrics>) -> Mesh {
    let Established { credentials, facts, trust, wish, .. } = established;
    let place = Place { trust_domain: facts.borrow().trust_domain.clone(), node: config.pod.node.clone() };
    let store = Store::new(&config.identity_directory, place.clone());
    let directory = Arc::new(Directory::new(place));
    discovery::restore(&directory, &store);
    tokio::spawn(discovery::keep(Arc::clone(&directory), store));
    let client = Client {
        directory: Arc::clone(&directory),
        credentials: Arc::clone(&credentials),
        facts: facts.clone(),
        hello: hello(&config.pod),
        trust,
        wish,
        metrics,
    };
    tokio::spawn(client.run());
    let (inbound_policy, unknown_destinations) = (config.inbound_policy, config.unknown_destinations);
    Mesh { credentials, directory, facts, inbound_policy, unknown_destinations }
}

/// Who speaks to the controller.
fn hello(pod: &Pod) -> api::Hello {
    api::Hello {
        proxy_version: env!("CARGO_PKG_VERSION").to_owned(),
        namespace: pod.namespace.clone(),
        service_account: pod.service_account.clone(),
        pod: pod.name.clone(),
        pod_uid: pod.uid.clone(),
        node: pod.node.clone(),
        trust: None,
    }
}

/// Says that the proxy serves, as whom, and how long it took to get here since the process began.
fn announce(config: &Config, established: &Established, workers: usize, started: Instant) {
    let credentials = established.credentials.current();
    let (identity, pod) = (credentials.identity(), &config.pod);
    info!(
        version = env!("CARGO_PKG_VERSION"),
        pod = %pod.name,
        namespace = %pod.namespace,
        identity = %identity.spiffe,
        kept = established.kept,
        valid_for_seconds = identity.not_after.duration_since(SystemTime::now()).unwrap_or_default().as_secs(),
        workers,
        policy = config.inbound_policy.name(),
        skipped_ports = %config.skip_inbound_ports,
        milliseconds = %format_args!("{:.1}", started.elapsed().as_secs_f64() * 1000.0),
        "ready"
    );
}

fn whose(config: &Config) -> identity::Settings {
    identity::Settings {
        token_directory: config.token_directory.clone(),
        identity_directory: config.identity_directory.clone(),
        namespace: config.pod.namespace.clone(),
        service_account: config.pod.service_account.clone(),
    }
}

fn worker_of(config: &Config, most: usize, metrics: Arc<WorkerMetrics>, mesh: Arc<Mesh>) -> Worker {
    Worker {
        mesh,
        metrics,
        dials: Arc::default(),
        strangers: Strangers::new(),
        pod_ips: config.pod.ips.clone(),
        opaque_ports: config.opaque_ports.clone(),
        original_destination: Arc::new(original_destination),
        http: Http::default(),
        most,
    }
}

fn start(
    workers: impl Iterator<Item = (Worker, Listeners)>,
    stopped: &watch::Receiver<bool>,
) -> io::Result<Vec<oneshot::Receiver<()>>> {
    let numbered = workers.enumerate();
    numbered.map(|(number, (worker, listeners))| worker::start(number, worker, listeners, stopped.clone())).collect()
}
