//! Writes the test vectors where the fuzzer looks for inputs to start from.

use std::fs;
use std::path::Path;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("corpus/sse");
    fs::create_dir_all(&folder).expect("a folder for the inputs");
    let text = fs::read_to_string(root.join("../tests/data/sse-vectors.json")).expect("the vectors");
    let file: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let vectors = file["vectors"].as_array().expect("a list of vectors");
    for vector in vectors {
        let id = vector["id"].as_str().expect("an id");
        let chunks = vector["chunks_hex"].as_array().expect("a list of chunks");
        let hex: String = chunks.iter().map(|chunk| chunk.as_str().expect("hex digits")).collect();
        let stream = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits"));
        // The target takes its cuts and limits from the first bytes.
        let input: Vec<u8> = [3, 7, 40, 40].into_iter().chain(stream).collect();
        fs::write(folder.join(id), input).expect("an input");
    }
    println!("{} inputs in {}", vectors.len(), folder.display());
}
