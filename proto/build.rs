//! Compiles the .proto files with protox, so that no system protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = protos("reel")?;
    let descriptors = protox::compile(&files, ["."])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=reel");
    Ok(())
}

fn protos(folder: &str) -> std::io::Result<Vec<std::path::PathBuf>> {
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
