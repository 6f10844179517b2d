#!/bin/sh
# Installs nswrap for this user: `curl -fsSL URL/install.sh | sh`, or `sh install.sh` in a checkout.
# Plain POSIX sh. Everything is prepared and tried in a scratch directory beside the destination and then renamed into
# place, so a failure or an interruption leaves what was there, and an older nswrap that is running goes on.

set -eu

VERSION=0.1.0
BUN=1.4.5
BASE_URL=${NSWRAP_BASE_URL:-https://github.com/nswrap/nswrap/releases/download}

usage() {
  cat <<EOF
Usage: sh install.sh [options]

In a checkout of nswrap it builds from there, elsewhere it downloads a release and checks its SHA-256.

  --prefix DIR    install DIR/bin/nswrap (default: ~/.local)
  --version V     the release to download (default: $VERSION)
  --base-url URL  where releases are: URL/vV/nswrap-V-SYSTEM.gz (or NSWRAP_BASE_URL)
  --from-source   build, never download
  --help          this

It never uses sudo, edits no file of yours, and sends nothing anywhere. Undo with: nswrap uninstall
EOF
}

main() {
  prefix='' version='' source='' stage='' made='' failed=yes
  while [ $# -gt 0 ]; do
    case $1 in
      --prefix | --version | --base-url) [ $# -ge 2 ] && [ -n "$2" ] || die "$1 needs a value" ;;
    esac
    case $1 in
      --prefix) prefix=$2 && shift ;;
      --prefix=?*) prefix=${1#*=} ;;
      --version) version=${2#v} source=release && shift ;;
      --version=?*) version=${1#*=} && version=${version#v} source=release ;;
      --base-url) BASE_URL=$2 source=${source:-release} && shift ;;
      --base-url=?*) BASE_URL=${1#*=} source=${source:-release} ;;
      --from-source) source=checkout ;;
      --help | -h) usage && failed=no && return 0 ;;
      *) die "unknown option $1; sh install.sh --help lists the options" ;;
    esac
    shift
  done
  [ -n "${HOME:-}" ] || die "HOME is not set, so there is no place to install to; set it"
  # A variable meant for another program must not change what Bun, npm or nswrap do here.
  unset BUN_OPTIONS BUN_BE_BUN NODE_OPTIONS CDPATH
  umask 022
  colours
  trap clean_up EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM

  detect_target
  choose_places
  if [ "$source" = checkout ] || { [ -z "$source" ] && [ -n "$checkout" ]; }; then
    [ -n "$checkout" ] || die "--from-source works in a checkout of nswrap; this is none"
    build
  else
    version=${version:-$VERSION}
    download
  fi
  try_out
  put_in_place
  failed=no
  tell_the_rest
}

# --- where and what -----------------------------------------------------------------------------------------------

detect_target() {
  system=$(uname -s) processor=$(uname -m) libc='' libc_name=''
  case $system in
    Linux) system=linux ;;
    Darwin) system=darwin ;;
    MINGW* | MSYS* | CYGWIN* | Windows*) die "on Windows, install inside WSL; or unpack nswrap-VERSION-windows-x64.exe.gz of a release by hand (untested)" ;;
    *) die "there is no nswrap for $system; it runs on Linux and macOS" ;;
  esac
  # A 64-bit kernel under 32-bit programs, and a shell under Rosetta, name the wrong processor.
  [ "$system" = linux ] && [ "$(getconf LONG_BIT 2>/dev/null || echo 64)" = 32 ] && processor="32-bit $processor"
  [ "$system" = darwin ] && [ "$(sysctl -n sysctl.proc_translated 2>/dev/null || echo 0)" = 1 ] && processor=arm64
  case $processor in
    x86_64 | amd64) processor=x64 ;;
    aarch64 | arm64) processor=arm64 ;;
    *) die "there is no nswrap for $system on $processor; it runs on x64 and arm64" ;;
  esac
  [ "$system" = linux ] && detect_libc
  target=$system-$processor$libc
}

detect_libc() {
  glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed -n 's/^glibc \([0-9][0-9.]*\).*/\1/p') || glibc=
  if [ -z "$glibc" ]; then
    about=$(ldd --version 2>&1 | head -n 2) || about=
    case $about in
      *musl*) libc=-musl ;;
      *GLIBC* | *"GNU libc"*) glibc=$(echo "$about" | sed -n '1s/.* \([0-9][0-9]*\.[0-9][0-9]*\).*/\1/p') ;;
    esac
  fi
  if [ -n "$glibc" ]; then
    minor=${glibc#2.} minor=${minor%%.*}
    case $glibc in
      2.*) [ "$minor" -ge 17 ] 2>/dev/null || die "nswrap needs glibc 2.17 or newer; this system has $glibc" ;;
    esac
    libc_name=" (glibc $glibc)"
  elif [ -n "$libc" ] || ls /lib/ld-musl-* >/dev/null 2>&1; then
    libc=-musl libc_name=' (musl)'
  else
    die "found neither glibc nor musl on this system; nswrap needs one of them"
  fi
}

choose_places() {
  bin=${prefix:-$HOME/.local}/bin
  case $bin in /*) ;; *) bin=$PWD/$bin ;; esac
  destination=$bin/nswrap
  case ${NS_HOME:-} in
    /*) data=$NS_HOME ;;
    *) case ${XDG_DATA_HOME:-} in /*) data=$XDG_DATA_HOME/nswrap ;; *) data=$HOME/.local/share/nswrap ;; esac ;;
  esac
  [ ! -d "$destination" ] || die "$destination is a directory; choose another place with --prefix"

  # Piped into a shell, $0 is the shell's own name.
  checkout=
  here=$(dirname -- "$0")
  if [ -f "$0" ] && [ -f "$here/build.ts" ] && [ -f "$here/package.json" ]; then checkout=$(cd -- "$here" && pwd); fi

  remember_missing "$bin"
  mkdir -p -- "$bin" 2>/dev/null || die "cannot make $bin; choose another place with --prefix"
  # What an installation that was killed left behind, a day ago or more.
  find "$bin" -maxdepth 1 -name '.nswrap-install.*' -mtime +0 -exec rm -rf {} + 2>/dev/null || :
  stage=$(mktemp -d "$bin/.nswrap-install.XXXXXX" 2>/dev/null) || die "cannot write to $bin; choose another place with --prefix"
  new=$stage/nswrap
}

# --- getting it ---------------------------------------------------------------------------------------------------

build() {
  say "Building nswrap for $target$libc_name from $checkout"
  get_bun
  # Bun would leave a cache of what it transpiled in the home.
  BUN_RUNTIME_TRANSPILER_CACHE_PATH=0
  export BUN_RUNTIME_TRANSPILER_CACHE_PATH
  step "bun install" "$checkout" "$bun" install --frozen-lockfile
  step "bun build.ts" "$checkout" "$bun" build.ts --outfile "$new"
  origin="checkout $checkout" origin_checked='built here'
}

# The Bun on PATH when it is of the release that the build knows, else one from npm for the time of the build.
get_bun() {
  bun=$(command -v bun 2>/dev/null) || bun=
  case $([ -n "$bun" ] && "$bun" --version 2>/dev/null) in
    "${BUN%.*}".*) return 0 ;;
  esac
  command -v npm >/dev/null 2>&1 || die "building needs Bun ${BUN%.*} or npm (which brings it), and neither is on PATH; install Node.js, or a release with --version $VERSION"
  case $processor in arm64) bun_processor=aarch64 ;; *) bun_processor=$processor ;; esac
  package=@oven/bun-$system-$bun_processor$libc
  say "  getting Bun $BUN from npm for the build (removed afterwards)"
  # The package `bun` only chooses among these and needs its install script for it, which many people switch off.
  step "npm install $package" "$stage" npm install --prefix "$stage/bun" --cache "$stage/npm" --no-audit --no-fund --no-update-notifier --ignore-scripts "$package@$BUN"
  bun=$stage/bun/node_modules/$package/bin/bun
  [ -x "$bun" ] || die "npm brought no Bun for $target; install Bun $BUN and try again"
  BUN_INSTALL_CACHE_DIR=$stage/cache
  export BUN_INSTALL_CACHE_DIR
}

download() {
  name=nswrap-$version-$target.gz
  url=${BASE_URL%/}/v$version
  say "Downloading nswrap $version for $target$libc_name"
  command -v gzip >/dev/null 2>&1 || die "gzip is needed to unpack the release"
  fetch "$url/SHA256SUMS" "$stage/SHA256SUMS"
  expected=$(sed -n "s/^\([0-9a-fA-F]\{64\}\)  *\*\{0,1\}$name\$/\1/p" "$stage/SHA256SUMS" | head -n 1)
  [ -n "$expected" ] || die "release $version has no $name (looked in $url/SHA256SUMS)"
  fetch "$url/$name" "$stage/$name"
  actual=$(sha256 "$stage/$name") || die "nothing here can compute a SHA-256 (sha256sum, shasum or openssl); not installing an unchecked download"
  [ "$actual" = "$expected" ] || die "the download is damaged or not genuine: its SHA-256 is $actual, the release says $expected"
  gzip -dc "$stage/$name" >"$new" 2>/dev/null || no_space "could not unpack $name"
  chmod 755 "$new"
  origin=$url/$name origin_checked='SHA-256 as published'
}

fetch() {
  status=0
  if command -v curl >/dev/null 2>&1; then
    curl -fsSL --connect-timeout 15 --speed-limit 1 --speed-time 60 -o "$2" "$1" 2>"$stage/log" </dev/null || status=$?
    # 23: curl could not write what it received.
    [ "$status" != 23 ] || no_space "could not store $1"
  elif command -v wget >/dev/null 2>&1; then
    wget -q -T 60 -O "$2" "$1" 2>"$stage/log" </dev/null || status=$?
    [ "$status" != 3 ] || no_space "could not store $1"
  else
    die "curl or wget is needed to download a release"
  fi
  [ "$status" = 0 ] || die "could not download $1: $(why). Check the network and the address (--base-url, --version)"
}

sha256() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum <"$1" | cut -c1-64
  elif command -v shasum >/dev/null 2>&1; then shasum -a 256 <"$1" | cut -c1-64
  elif command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 <"$1" | sed 's/.* //'
  else return 1
  fi
}

# --- trying it, before anything is replaced --------------------------------------------------------------------------

try_out() {
  answer=$("$new" --version 2>"$stage/log" </dev/null) || {
    hint=
    [ -z "$libc" ] || hint='; on Alpine, apk add libstdc++ may be what it needs'
    die "the program does not start here: $(why)$hint"
  }
  built_version=$(echo "$answer" | sed -n '1s/^nswrap \([^ ]*\).*/\1/p')
  built_commit=$(echo "$answer" | sed -n '1s/.*(\([^)]*\)).*/\1/p')
  [ -n "$built_version" ] || die "the program does not know its version: $answer"
  sum=$(sha256 "$new") || sum=unknown

  mkdir "$stage/home" "$stage/sample"
  {
    sample persona set "I am Ada. I like short answers."
    sample remember "The tests of this project run with: make check"
    sample -- sh -c 'cat "$NS_CONTEXT_FILE"' "how do I run the tests?"
  } >"$stage/shown" 2>"$stage/log" || die "the program starts, but its trial run failed: $(why)"
  grep -q 'make check' "$stage/context" || die "the program starts, but a memory did not reach the command it was meant for"
}

# Shows a command and runs it with a home of its own, as on a machine where nothing is installed.
sample() {
  printf '  %s$ nswrap' "$dim"
  for word in "$@"; do
    case $word in
      *'"'*) printf " '%s'" "$word" ;;
      *[!A-Za-z0-9_./-]*) printf ' "%s"' "$word" ;;
      *) printf ' %s' "$word" ;;
    esac
  done
  printf '%s\n' "$plain"
  (cd "$stage/sample" && env -i PATH="$PATH" HOME="$stage/home" NS_HOME="$stage/home/nswrap" TMPDIR="${TMPDIR:-/tmp}" "$new" "$@" </dev/null) >"$stage/context" || return 1
  sed 's/^/  /' "$stage/context"
}

# --- putting it in place --------------------------------------------------------------------------------------------

put_in_place() {
  size=$(($(wc -c <"$new") / 1000000))
  saved=$bin/nswrap-neuralsync
  # Somebody else's program of our name at our place (pip puts NeuralSync's there) is kept beside it.
  if is_script "$destination" && [ ! -e "$saved" ]; then
    cp -P -- "$destination" "$saved" 2>/dev/null || no_space "could not keep the other program at $destination"
  fi
  [ -e "$saved" ] || saved=
  (umask 077 && mkdir -p -- "$data") 2>/dev/null || die "cannot make $data, where your memories will be; set NS_HOME to another place"
  (umask 077 && report >"$data/.installation_report.$$") 2>/dev/null || { rm -f -- "$data/.installation_report.$$" 2>/dev/null; no_space "could not write in $data"; }
  # The program and what is written about it change together.
  trap '' HUP INT TERM
  mv -f -- "$new" "$destination" || die "could not put the program at $destination"
  mv -f -- "$data/.installation_report.$$" "$data/installation_report.json"
}

report() {
  cat <<EOF
{
  "report_version": 1,
  "version": "$(json "$built_version")",
  "commit": "$(json "$built_commit")",
  "path": "$(json "$destination")",
  "sha256": "$sum",
  "target": "$target",
  "libc": "$(json "$libc_name" | tr -d '() ')",
  "source": "$(json "$origin")",
  "installed_at": "$(date -u +%Y-%m-%dT%H:%M:%SZ)",
  "kept_other_program": $([ -n "$saved" ] && echo "\"$(json "$saved")\"" || echo null),
  "checked": ["$origin_checked", "the program starts", "a remembered text reached a wrapped command"]
}
EOF
}

json() {
  printf '%s' "$1" | tr '\n\r\t' '   ' | sed 's/\\/\\\\/g; s/"/\\"/g'
}

is_script() {
  [ -f "$1" ] && [ "$(head -c 2 "$1" 2>/dev/null)" = '#!' ]
}

# --- saying it -------------------------------------------------------------------------------------------------------

tell_the_rest() {
  say ""
  say "${bold}Installed $destination$plain ($answer, $size MB)"
  say "Seen working, on a sample that is gone again:"
  say ""
  cat "$stage/shown"
  say ""
  tell_others
  tell_path
  say "Next:  nswrap remember \"something your tools should know\""
  say "       nswrap -- claude \"fix the bug\""
  say "Undo:  nswrap uninstall${dim}   (your memories, in $data, are kept)$plain"
}

# Another nswrap on PATH, which one starts, and the way over.
tell_others() {
  if [ -n "$saved" ]; then
    say "${bold}There was another nswrap at this place$plain, NeuralSync's: it is kept as $saved."
    say "       Bring its memories over with: nswrap import --from neuralsync"
    say ""
  fi
  first=yes
  old_ifs=$IFS
  IFS=:
  for directory in $PATH; do
    IFS=$old_ifs
    other=${directory:-.}/nswrap
    if [ "$other" = "$destination" ]; then
      first=no
    elif [ -f "$other" ] && [ -x "$other" ] && ! [ "$other" -ef "$destination" ] 2>/dev/null; then
      what='another program'
      if is_script "$other" && head -c 4096 "$other" | grep -qiE 'python|neuralsync'; then what="NeuralSync's, in Python"; fi
      say "${bold}There is another nswrap at $other$plain ($what)."
      if [ "$first" = yes ]; then say "       It comes first on PATH, so \`nswrap\` still starts that one: remove it, or put $bin before it."
      else say "       The new one comes first on PATH."
      fi
      [ "$what" = 'another program' ] || say "       Bring its memories over with: nswrap import --from neuralsync"
      say ""
    fi
  done
  IFS=$old_ifs
}

tell_path() {
  case :$PATH: in *":$bin:"*) return 0 ;; esac
  shown=$bin
  case $bin in "$HOME"/*) shown="\$HOME${bin#"$HOME"}" ;; esac
  line="export PATH=\"$shown:\$PATH\""
  shell=${SHELL:-sh}
  case ${shell##*/} in
    zsh) file='~/.zshrc' ;;
    fish) line="fish_add_path $shown" file='~/.config/fish/config.fish' ;;
    bash) if [ "$system" = darwin ]; then file='~/.bash_profile'; else file='~/.bashrc'; fi ;;
    *) file='~/.profile' ;;
  esac
  say "${bold}$bin is not on your PATH.$plain Add this line to $file and open a new terminal:"
  say ""
  say "       $line"
  say ""
}

colours() {
  bold='' dim='' plain=''
  if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m')
  fi
}

say() {
  printf '%s\n' "$1"
}

# step NAME DIRECTORY COMMAND...: quiet unless it fails.
step() {
  step_name=$1 step_place=$2
  shift 2
  (cd -- "$step_place" && "$@") >"$stage/log" 2>&1 </dev/null && return 0
  if grep -qiE 'ENOSPC|no space left|disk quota|EFBIG|file too large' "$stage/log" || ! [ -s "$stage/log" ]; then no_space "$step_name failed"; fi
  tail -n 15 "$stage/log" >&2
  die "$step_name failed"
}

why() {
  reason=$(tr -d '\r' <"$stage/log" 2>/dev/null | grep -v '^ *$' | tail -n 1)
  echo "${reason:-exit status ${status:-1}, no reason given}"
}

no_space() {
  free=$(df -Pk "$bin" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }')
  die "$1; is there space? $bin has ${free:-?} MB free, about 600 are needed for building and 200 for a release"
}

die() {
  printf 'nswrap: %s\n' "$1" >&2
  [ -z "${stage:-}" ] || printf 'nswrap: nothing was installed\n' >&2
  exit 1
}

# The directories that mkdir -p is about to make, deepest first, so that a failure can take them away again.
remember_missing() {
  missing=$1
  while [ ! -e "$missing" ] && [ "$missing" != / ] && [ "$missing" != . ]; do
    made="$made$missing
"
    missing=$(dirname -- "$missing")
  done
}

clean_up() {
  [ -z "$stage" ] || rm -rf -- "$stage"
  [ "$failed" = yes ] || return 0
  rm -f -- "${data:-/nonexistent}/.installation_report.$$" 2>/dev/null || :
  printf '%s' "$made" | while IFS= read -r directory; do rmdir -- "$directory" 2>/dev/null || :; done
}

# The last line: a download that breaks off runs nothing.
main "$@"
