#!/usr/bin/env bash
# get-server.sh mysql|mariadb11 PREFIX: a private database server for the tests, under PREFIX and nowhere else.
#
# Debian's unstable suite has MySQL's current long-term release, its suite `trixie` has MariaDB's (11.8). Their packages want a newer
# libc than an older system has, so they are unpacked, never installed: the server runs with the libraries and the loader that came
# with it. apt keeps its state under PREFIX, and the suite comes from the mirror that this machine uses already. MySQL: about 50 MB
# over the network, 135 MB stay. MariaDB: 20 MB, 60 MB stay.
set -euo pipefail
case "${1:-}" in
  mysql) suite=sid package=mysql-server-core server=mysqld data=mysql keep='english charsets' ;;
  mariadb11) suite=trixie package=mariadb-server-core server=mariadbd data=mariadb keep='english charsets *.sql' ;;
  *) echo "usage: get-server.sh mysql|mariadb11 PREFIX" >&2; exit 2 ;;
esac
prefix=$(mkdir -p "$2" && cd "$2" && pwd)
work=$prefix/.work
rm -rf "$work" && mkdir -p "$work"/{lists,cache}/partial "$work"/cache/archives/partial "$work"/{debs,root} && : >"$work/status"
trap 'rm -rf "$work"' EXIT

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | grep debian | head -1) || true
[ -n "$mirror" ] || { echo "no Debian mirror is configured" >&2; exit 1; }
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/sources.list"
# An empty status file makes apt resolve everything, libc and loader included.
apt() {
  apt-get -o APT::Sandbox::User=root -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o Dir::State::status="$work/status" \
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}
apt -qq update
packages=$(apt -s --no-install-recommends install $package | awk '/^Inst/{print $2}' |
  grep -vE '^(lib)?perl|^gcc-|^libdb5|^libgdbm|^libc-gconv')
(cd "$work/debs" && apt -qq download $packages)
for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$work/root"; done

libs=$work/root/usr/lib/x86_64-linux-gnu
loader=$libs/ld-linux-x86-64.so.2
rm -rf "$prefix"/{lib,sbin,share} && mkdir -p "$prefix"/{lib,sbin,share}
cp "$work/root/usr/sbin/$server" "$prefix/sbin/"
(cd "$work/root/usr/share/$data" && cp -r $keep "$prefix/share/")
cp -L "$loader" "$prefix/lib/"
# Only the libraries that the server really loads stay.
"$loader" --library-path "$libs" --list "$prefix/sbin/$server" | awk '$3 ~ /^\//{print $3}' | sort -u |
  xargs -I{} cp -Ln {} "$prefix/lib/"

own=
[ $server = mariadbd ] || own=--secure-file-priv=NULL
cat >"$prefix/$server.new" <<WRAPPER
#!/bin/sh
p=\$(cd "\$(dirname "\$0")" && pwd)
exec "\$p/lib/ld-linux-x86-64.so.2" --library-path "\$p/lib" "\$p/sbin/$server" --no-defaults --basedir="\$p" \\
  --lc-messages-dir="\$p/share" --character-sets-dir="\$p/share/charsets" $own "\$@"
WRAPPER
chmod +x "$prefix/$server.new"
"$prefix/$server.new" --version >&2
mv "$prefix/$server.new" "$prefix/$server" # Last: a prefix with this file is whole.
