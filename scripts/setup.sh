# shellcheck shell=bash
# Sourced by the other scripts: finds or installs what they need. Nothing here needs a terminal.
#   need COMMAND PACKAGE…   install Debian packages unless the command is there
#   python_environment      the locked Python environment, without the proxy
#   proxy_environment       the same with the proxy built in (release)

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH="$root/.venv/bin:$HOME/.local/bin:$HOME/.cargo/bin:/usr/local/go/bin:$PATH"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
started_at=$SECONDS

announce() { printf '%s[%3d s] %s%s\n' "$bold" $((SECONDS - started_at)) "$*" "$plain"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

need() {
  local command=$1; shift
  command -v "$command" >/dev/null && return
  [ "$(id -u)" = 0 ] || fail "$command is missing and installing it needs root: apt-get install $*"
  announce "installing $*"
  [ -n "${apt_is_fresh:-}" ] || apt-get update -qq
  apt_is_fresh=1
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

need_uv() {
  command -v uv >/dev/null && return
  announce "installing uv"
  python3 -m pip install --quiet --root-user-action=ignore uv 2>/dev/null || python3 -m pip install --quiet --user --break-system-packages uv
  hash -r
  command -v uv >/dev/null || { uv_home=$(python3 -c 'import sysconfig; print(sysconfig.get_path("scripts"))') && export PATH="$uv_home:$PATH"; }
  command -v uv >/dev/null || fail "uv was installed and is not on PATH"
}

python_environment() {
  need_uv
  (cd "$root" && uv sync --locked --quiet --no-install-package injector-proxy)
}

proxy_environment() {
  need_uv
  need cc gcc libc6-dev
  command -v cargo >/dev/null || fail "cargo is missing: install Rust 1.95 or newer with rustup"
  (cd "$root" && uv sync --locked --quiet)
}
