# The builder of a driver that someone changes on the way: stdenv's phases.
source "${NIX_ATTRS_SH_FILE:-.attrs.sh}"
source "$stdenv/setup"
genericBuild
