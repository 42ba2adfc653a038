//! Compiles the .proto files with protox, so that no system protoc is needed.

use std::path::{Path, PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=reel");
    let files = protos("reel")?;
    let descriptors = protox::compile(&files, ["."])?;
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    std::fs::write(Path::new(&out).join("descriptors.bin"), descriptors.encode_to_vec())?;
    let rpc = std::env::var_os("CARGO_FEATURE_RPC").is_some();
    let builder = tonic_prost_build::configure().build_client(rpc).build_server(rpc).build_transport(false);
    builder.compile_fds(descriptors)?;
    Ok(())
}

fn protos(folder: &str) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(protos(&path.to_string_lossy())?),
            false => found.push(path),
        }
    }
    found.sort();
    Ok(found)
}
