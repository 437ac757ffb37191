//! The two back ends of iptables, each a set of commands.

use std::ffi::OsStr;
use std::fmt;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use super::family::Family;

/// Seconds that a command waits for another that changes the tables. Only the legacy back end has a lock.
const WAIT_SECONDS: &str = "10";

/// The usual place of the lock is on the root file system, which is read-only here; every container has /dev/shm.
const LOCK_FILE: (&str, &str) = ("XTABLES_LOCKFILE", "/dev/shm/xtables.lock");

/// Which kernel interface carries the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// nf_tables.
    Nft,
    /// x_tables.
    Legacy,
}

impl fmt::Display for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nft => "nft",
            Self::Legacy => "legacy",
        })
    }
}

impl Backend {
    /// The nat table as text; an error if it does not open.
    pub fn save(self, family: Family) -> Result<String, String> {
        let output = run(&self.command(family, "save"), ["-t", "nat"], "")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Adds the text's rules to the nat table, all or none.
    pub fn restore(self, family: Family, text: &str) -> Result<(), String> {
        run(&self.command(family, "restore"), ["--noflush", "-w", WAIT_SECONDS], text).map(drop)
    }

    fn command(self, family: Family, verb: &str) -> String {
        let tool = match family {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        };
        format!("{tool}-{self}-{verb}")
    }
}

/// Runs a command on `input`. Any failure is a sentence of one line.
fn run<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>, input: &str) -> Result<Output, String> {
    let mut command = Command::new(program);
    command.args(arguments).env(LOCK_FILE.0, LOCK_FILE.1);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot run {program}: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that fails early reads nothing; its own words are the better ones.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() { Ok(output) } else { Err(format!("{program}: {}", complaint(&output))) }
}

/// What a failed command said, on one line.
fn complaint(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { output.status.to_string() } else { lines.join(" / ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_the_tools_names() {
        assert_eq!(Backend::Nft.command(Family::V4, "save"), "iptables-nft-save");
        assert_eq!(Backend::Legacy.command(Family::V6, "restore"), "ip6tables-legacy-restore");
    }

    #[test]
    fn failures_are_one_line() {
        let none: [&str; 0] = [];
        assert!(run("injector-no-such-command", none, "").unwrap_err().contains("cannot run injector-no-such-command"));
        let said = run("sh", ["-c", "echo one >&2; echo two >&2; exit 3"], "").unwrap_err();
        assert_eq!(said, "sh: one / two");
        assert!(run("false", none, "").unwrap_err().contains("exit status: 1"));
    }

    #[test]
    fn input_arrives_and_output_returns() {
        let none: [&str; 0] = [];
        assert_eq!(run("cat", none, "text").unwrap().stdout, b"text");
    }
}
