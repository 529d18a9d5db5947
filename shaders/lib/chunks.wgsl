// The vocabulary in chunks of CHUNK4 * 4 tokens, of which a thread or a workgroup takes one at a time.
// From outside: VOCABULARY, CHUNK4.
const QUADS = (VOCABULARY + 3u) / 4u;
const CHUNKS = (QUADS + CHUNK4 - 1u) / CHUNK4;

// Behind the last quad of a chunk.
fn end_of(chunk: u32) -> u32 { return min((chunk + 1u) * CHUNK4, QUADS); }
