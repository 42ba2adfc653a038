//! Bindings to x265 and SVT-AV1, from the headers that are installed: both are C, and no crate binds the versions of
//! today's distributions.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let libraries = [pkg_config::probe_library("x265")?, pkg_config::probe_library("SvtAv1Enc")?];
    let folders = libraries.iter().flat_map(|library| &library.include_paths);
    bindgen::builder()
        .header("encoders.h")
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new()))
        .clang_args(folders.map(|folder| format!("-I{}", folder.display())))
        .allowlist_function("x265_api_query|svt_av1_.*")
        .allowlist_type("x265_.*|Eb.*")
        .allowlist_var("X265_.*|EB_.*|SVT_AV1_VERSION_.*")
        .generate_comments(false)
        .layout_tests(false)
        .generate()?
        .write_to_file(PathBuf::from(std::env::var("OUT_DIR")?).join("encoders.rs"))?;
    Ok(())
}
