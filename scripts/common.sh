# shellcheck shell=bash
# Shared by the scripts in this folder: words to the user, and where the tools are. To be sourced.

say() { printf '\033[2m==>\033[0m %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Plain output where nobody looks at a terminal (CI logs).
if [[ ! -t 2 || -n ${NO_COLOR:-} ]]; then
  say() { printf '==> %s\n' "$*" >&2; }
fi

has() { command -v "$1" >/dev/null 2>&1; }

# Kafka 4 and the registry need Java 17 or later.
least_java=17

java_major() { # JAVA -> its major version, nothing when it does not run
  "$1" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p;' | head -n 1
}

# Prints the first Java that is new enough. The one in PATH may be an old one while a newer one is
# installed beside it, so the places where Linux distributions put them are looked at, too.
find_java() {
  local candidate major
  for candidate in "${JAVA_HOME:-/none}/bin/java" "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
    [[ -x $candidate ]] || continue
    major=$(java_major "$candidate")
    if [[ -n $major ]] && ((major >= least_java)); then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}
