# The shape of nixpkgs' recipe for Rust's own binaries, from which it builds its compiler.
{
  fetchurl,
  version,
  hashes,
}:

{
  rustc = {
    inherit version;
    src = fetchurl {
      url = "https://static.rust-lang.org/dist/rust-${version}-x86_64-unknown-linux-gnu.tar.gz";
      sha256 = hashes.x86_64-unknown-linux-gnu;
    };
  };
  cargo = { inherit version; };
}
