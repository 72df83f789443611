# shellcheck shell=bash disable=SC2034
# What the shell drivers share. Each case is a function that runs under `set -e` in a subshell with
# a scratch folder as working directory; it fails by a command that fails.
set -uo pipefail

driver=$(basename "$0" .sh)
run_id=$$-$RANDOM
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# check NAME FUNCTION [ARGUMENT...]: runs a case and prints its line.
check() {
  local name=$1 output status folder=$scratch/case-$RANDOM$RANDOM
  shift
  mkdir "$folder"
  output=$(
    cd "$folder" && exec 2>&1
    set -e
    "$@"
  )
  status=$?
  if ((status == 0)); then
    echo "ok $driver: $name"
  else
    echo "FAIL $driver: $name: $(tail -n 3 <<<"$output" | tr '\n' ' ')"
  fi
}

# served FEATURE: whether the broker under test is expected to have it, see `run`.
served() { [[ " ${NOT_YET-} " != *" $1 "* ]]; }

# equal WANTED SEEN
equal() {
  [[ $1 == "$2" ]] || { echo "wanted '$1', saw '$2'"; return 1; }
}

# matches PATTERN TEXT, an extended regular expression
matches() {
  [[ $2 =~ $1 ]] || { echo "nothing matches '$1' in '$2'"; return 1; }
}

# await FILE PATTERN: until a line of the file matches, at most ten seconds.
await() {
  local tries
  for ((tries = 0; tries < 200; tries++)); do
    if grep -qE -- "$2" "$1" 2>/dev/null; then return 0; fi
    sleep 0.05
  done
  echo "no '$2' in: $(tail -n 3 "$1" 2>/dev/null)"
  return 1
}
