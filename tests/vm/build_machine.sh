#!/bin/sh
# Builds in DIR what tests/virtual_machine.py boots: a Debian kernel with loopback cameras
# (v4l2loopback) and a loopback sound card (snd-aloop), for machines whose own kernel takes no
# modules. Nothing is installed but the packages below, and those only where this user is root.
# Usage: tests/vm/build_machine.sh DIR          exits 3, with one line, where it is not possible
set -eu
dir=$1
packages="qemu-system-x86 busybox-static cpio kmod v4l-utils alsa-utils ffmpeg linux-headers-amd64 g++ make"

impossible() {
  echo "$1" >&2
  exit 3
}

ready() {
  for tool in qemu-system-x86_64 cpio depmod modprobe v4l2-ctl aplay ffmpeg make gcc dpkg-deb; do
    PATH="$PATH:/sbin:/usr/sbin" command -v "$tool" >/dev/null || return 1
  done
  # A busybox that is linked to libraries finds none of them before the root is mounted.
  [ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1 &&
    ls -d /usr/src/linux-headers-*-amd64 >/dev/null 2>&1
}

[ "$(uname -sm)" = "Linux x86_64" ] || impossible "the virtual machine is for Linux on x86-64"
command -v apt-get >/dev/null || impossible "the virtual machine is built from Debian's packages"
if ! ready; then
  [ "$(id -u)" = 0 ] || impossible "for the virtual machine run: sudo apt-get install $packages"
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086  # a list of words
  { apt-get update -q && apt-get install -y -q --no-install-recommends $packages; } >&2 ||
    impossible "the packages of the virtual machine cannot be installed: $packages"
  ready || impossible "the packages of the virtual machine are incomplete: $packages"
fi
PATH="$PATH:/sbin:/usr/sbin"

mkdir -p "$dir"
cd "$dir"
rm -rf kernel camera initramfs ./*.deb
headers=$(ls -d /usr/src/linux-headers-*-amd64 | sort -V | tail -1)
release=${headers#/usr/src/linux-headers-}

# apt drops its rights for downloads, and may not write here then.
apt-get -q -o APT::Sandbox::User=root download "linux-image-$release" v4l2loopback-dkms >&2 ||
  impossible "no package linux-image-$release to be had; run: apt-get update"
dpkg-deb -x "linux-image-${release}"_*.deb kernel
dpkg-deb -x v4l2loopback-dkms_*.deb camera
rm ./*.deb
# Debian keeps modules under /lib or, where that is a link to it, under /usr/lib.
modules=$(find kernel -type d -path "*/lib/modules/$release" | head -1)
[ "$modules" = "kernel/lib/modules/$release" ] || { mkdir -p kernel/lib && ln -s ../usr/lib/modules kernel/lib/modules; }

source=$(ls -d "$PWD"/camera/usr/src/v4l2loopback-*)
make -s -C "$headers" M="$source" modules >&2
mkdir -p "kernel/lib/modules/$release/updates"
cp "$source/v4l2loopback.ko" "kernel/lib/modules/$release/updates/"
depmod -b "$PWD/kernel" "$release"

mkdir -p initramfs/bin initramfs/proc initramfs/sys initramfs/dev initramfs/root initramfs/modules
cp /bin/busybox initramfs/bin/
for module in virtio_pci 9pnet_virtio 9p v4l2loopback snd-aloop; do
  modprobe -d "$PWD/kernel" -S "$release" --show-depends "$module"
done | while read -r verb path _; do
  name=${path##*/}
  [ "$verb" = insmod ] && [ ! -e "initramfs/modules/$name" ] || continue
  cp "$path" initramfs/modules/
  strip --strip-debug "initramfs/modules/$name"
  echo "$name" >>initramfs/modules/order
done

# The host's own file system, read-only, so that its Python, ffmpeg and this repository are there;
# /mnt is the folder that one run shares with the host.
cat >initramfs/init <<'INIT'
#!/bin/busybox sh
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sys /sys
$busybox mount -t devtmpfs dev /dev
for module in $($busybox cat /modules/order); do
  options=
  case $module in
    # One camera as Chrome, Zoom and Teams want it, one as v4l2loopback makes it by default.
    v4l2loopback.ko) options="devices=2 video_nr=10,11 card_label=vasa_cam,plain exclusive_caps=1,0 max_buffers=2" ;;
  esac
  $busybox insmod "/modules/$module" $options || echo "cannot load $module"
done
$busybox mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=1048576 root /root
$busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576 work /root/mnt
for kind in proc sysfs devtmpfs; do
  case $kind in proc) at=proc ;; sysfs) at=sys ;; devtmpfs) at=dev ;; esac
  $busybox mount -t $kind none /root/$at
done
$busybox mkdir -p /root/dev/shm
$busybox mount -t tmpfs none /root/dev/shm
$busybox mount -t tmpfs none /root/run
$busybox mkdir -m 700 /root/run/user /root/run/tmp
$busybox ip link set lo up 2>/dev/null || $busybox ifconfig lo 127.0.0.1
$busybox chroot /root /usr/bin/env HOME=/run/tmp TMPDIR=/run/tmp XDG_RUNTIME_DIR=/run/user \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /bin/bash /mnt/guest.sh \
  >/root/mnt/guest.log 2>&1
echo $? >/root/mnt/guest.rc
$busybox sync
$busybox poweroff -f
INIT
chmod +x initramfs/init
(cd initramfs && find . | cpio -o -H newc 2>/dev/null | gzip -1) >initramfs.gz
cp "$(ls kernel/boot/vmlinuz-*)" vmlinuz
basename "$source" >camera-version
rm -rf kernel camera initramfs
