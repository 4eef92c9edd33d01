#!/usr/bin/env bash
# get-mysql.sh PREFIX: a private Oracle MySQL server for the tests, under PREFIX and nowhere else.
#
# Debian's unstable suite has MySQL's current long-term release. Its packages want a newer libc than a stable system has, so they are
# unpacked, never installed: the server runs with the libraries and the loader that came with it. apt keeps its state under PREFIX,
# and the suite comes from the mirror that this machine uses already. About 50 MB come over the network, 135 MB stay.
set -euo pipefail
prefix=$(mkdir -p "$1" && cd "$1" && pwd)
work=$prefix/.work
rm -rf "$work" && mkdir -p "$work"/{lists,cache}/partial "$work"/cache/archives/partial "$work"/{debs,root} && : >"$work/status"
trap 'rm -rf "$work"' EXIT

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | grep debian | head -1) || true
[ -n "$mirror" ] || { echo "no Debian mirror is configured" >&2; exit 1; }
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$work/sources.list"
# An empty status file makes apt resolve everything, libc and loader included.
apt() {
  apt-get -o APT::Sandbox::User=root -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o Dir::State::status="$work/status" \
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}
apt -qq update
packages=$(apt -s --no-install-recommends install mysql-server-core | awk '/^Inst/{print $2}' |
  grep -vE '^(lib)?perl|^gcc-|^libdb5|^libgdbm|^libc-gconv')
(cd "$work/debs" && apt -qq download $packages)
for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$work/root"; done

libs=$work/root/usr/lib/x86_64-linux-gnu
loader=$libs/ld-linux-x86-64.so.2
rm -rf "$prefix"/{lib,sbin,share} && mkdir -p "$prefix"/{lib,sbin,share}
cp "$work/root/usr/sbin/mysqld" "$prefix/sbin/"
cp -r "$work"/root/usr/share/mysql/{english,charsets} "$prefix/share/"
cp -L "$loader" "$prefix/lib/"
# Only the libraries that the server really loads stay.
"$loader" --library-path "$libs" --list "$prefix/sbin/mysqld" | awk '$3 ~ /^\//{print $3}' | sort -u |
  xargs -I{} cp -Ln {} "$prefix/lib/"

cat >"$prefix/mysqld.new" <<'WRAPPER'
#!/bin/sh
p=$(cd "$(dirname "$0")" && pwd)
exec "$p/lib/ld-linux-x86-64.so.2" --library-path "$p/lib" "$p/sbin/mysqld" --no-defaults --basedir="$p" \
  --lc-messages-dir="$p/share" --character-sets-dir="$p/share/charsets" --secure-file-priv=NULL "$@"
WRAPPER
chmod +x "$prefix/mysqld.new"
"$prefix/mysqld.new" --version >&2
mv "$prefix/mysqld.new" "$prefix/mysqld" # Last: a prefix with this file is whole.
