//! What the process does, in order: parse, build, run (which waits for a certificate first), drain.

use std::process::ExitCode;
use std::time::Instant;

use injector_proxy::cli::{self, Command};
use injector_proxy::config::Config;
use injector_proxy::proxy::Proxy;
use injector_proxy::{await_ready, drain, harden, init, log};

fn main() -> ExitCode {
    let started = Instant::now();
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run) => run(started),
        Ok(Command::Init) => init::main(),
        Ok(Command::Await) => await_ready::main(),
        Ok(Command::Version) => cli::say(&cli::version()),
        Ok(Command::Help) => cli::say(cli::HELP),
        Err(fault) => cli::fail(cli::EXIT_USAGE, &[fault]),
    }
}

fn run(started: Instant) -> ExitCode {
    let config = match Config::parse(|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(faults) => return cli::fail(cli::EXIT_USAGE, &faults),
    };
    let descriptors = harden::harden();
    log::start(config.log);
    let proxy = match Proxy::build(config, descriptors, started) {
        Ok(proxy) => proxy,
        Err(fault) => return cli::fail(cli::EXIT_UNAVAILABLE, &[fault]),
    };
    match proxy.run(drain::terminated()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => cli::fail(cli::EXIT_UNAVAILABLE, &[fault]),
    }
}
