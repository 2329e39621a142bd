#!/bin/sh
# Puts the peers that the benchmark compares with into a folder of their own; nothing is installed on the system.
#
#     benches/install-peers.sh [FOLDER]      (target/peers)
#
# Python's come from PyPI, each into its own virtual environment; the others are Debian's packages, unpacked. What cannot
# be had is said and left out.
set -u
peers=${1:-$(dirname "$0")/../target/peers}
mkdir -p "$peers/debian" || exit 1
peers=$(cd "$peers" && pwd)

python() {
    folder=$peers/$1
    shift
    [ -x "$folder/bin/pip" ] || python3 -m venv "$folder" || { echo "no virtual environment for $*" >&2; return; }
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$@" || echo "not installed: $*" >&2
}

python supervice-0.4.2 supervice==0.4.2
python supervisord supervisor setuptools
python circus circus

cd "$peers/debian" || exit 1
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "no apt-get and dpkg-deb here: runit, s6 and daemontools are left out" >&2
    exit 0
fi
libraries=$(apt-cache depends s6 2>/dev/null | sed -n 's/^ *Depends: \(lib\(s6\|skarnet\|execline\)[^ ]*\)$/\1/p')
for package in runit daemontools s6 execline $libraries; do
    ls "$package"_*.deb >/dev/null 2>&1 || apt-get download "$package" || echo "not to be had: $package" >&2
done
for file in *.deb; do
    dpkg-deb -x "$file" . || echo "not unpacked: $file" >&2
done
# s6-svscan runs /usr/bin/s6-supervise and no other. Here it has to find it where it was unpacked: under a path of the same
# length, relative to the folder that it scans, where the benchmark puts a link.
scan=usr/bin/s6-svscan
if [ -f "$scan" ]; then
    LC_ALL=C sed 's#/usr/bin/s6-supervise#./.bin///s6-supervise#' "$scan" >"$scan.moved" &&
        chmod 755 "$scan.moved" && mv "$scan.moved" "$scan" || echo "s6-svscan not moved: it finds no s6-supervise" >&2
fi
echo "peers are in $peers"
