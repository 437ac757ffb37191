//! The command line: a few words, no flags. Everything else comes by environment (see `config`).

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

/// What `--help` prints.
pub const HELP: &str = "\
injector-proxy: the sidecar of Injector, a Kubernetes service mesh

usage: injector-proxy COMMAND

  run        carry the pod's connections until SIGTERM; settings come from INJECTOR_* variables
  init       apply the pod's redirection rules (INJECTOR_IPTABLES_RULES, INJECTOR_IP6TABLES_RULES) and check them
  await      wait until the proxy that runs here is ready, at most a minute (the sidecar's postStart hook)
  version    print the version
  --help     print this

exit codes: 0 done, 1 waited in vain, 64 a bad command line or setting (all of them are listed), 69 the machine refused something
";

/// A bad command line or bad settings (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;

/// Settings are right, and the machine does not let us: a port is taken, a capability is missing (`EX_UNAVAILABLE`).
pub const EXIT_UNAVAILABLE: u8 = 69;

/// What the process was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Be the sidecar.
    Run,
    /// Be the init container.
    Init,
    /// Wait until the proxy is ready.
    Await,
    /// Print the version.
    Version,
    /// Print the help.
    Help,
}

/// The command that the arguments (without the program's name) ask for, or what is wrong with them.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let words: Vec<String> = arguments.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run"] => Ok(Command::Run),
        ["init"] => Ok(Command::Init),
        ["await"] => Ok(Command::Await),
        ["version" | "--version" | "-V"] => Ok(Command::Version),
        ["help" | "--help" | "-h"] => Ok(Command::Help),
        [] => Err("expected a command: run, init, await, version or --help".to_owned()),
        [command @ ("run" | "init" | "await" | "version" | "help"), extra, ..] => {
            Err(format!("{command} takes no arguments, got {extra:?}; settings come from INJECTOR_* variables"))
        }
        [other, ..] => Err(format!("unknown command {other:?}; expected run, init, await, version or --help")),
    }
}

/// The version, as `--version` prints it.
pub fn version() -> String {
    format!("injector-proxy {}\n", env!("CARGO_PKG_VERSION"))
}

/// Prints to standard output; a reader that went away is no failure.
pub fn say(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Prints every fault on a line of its own to standard error, in one write so that lines stay together in a pod's log.
pub fn fail(code: u8, faults: &[String]) -> ExitCode {
    let mut text = String::new();
    for fault in faults {
        let _ = writeln!(text, "injector-proxy: {fault}");
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Command, String> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn each_command_has_its_word() {
        assert_eq!(parsed(&["run"]), Ok(Command::Run));
        assert_eq!(parsed(&["init"]), Ok(Command::Init));
        assert_eq!(parsed(&["await"]), Ok(Command::Await));
        assert_eq!(parsed(&["version"]), Ok(Command::Version));
        assert_eq!(parsed(&["--version"]), Ok(Command::Version));
        assert_eq!(parsed(&["--help"]), Ok(Command::Help));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(parsed(&[]).unwrap_err().contains("expected a command"));
        assert!(parsed(&["start"]).unwrap_err().contains("\"start\""));
        assert!(parsed(&["run", "--fast"]).unwrap_err().contains("run takes no arguments, got \"--fast\""));
    }
}
