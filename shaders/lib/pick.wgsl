// What workgroups of the sampler agree on: the largest score, of equal ones that of the lowest token, and the largest of other numbers.
struct Pick { score: f32, token: u32, other: f32 }

const NO_TOKEN = 0xffffffffu;

fn better(a: Pick, b: Pick) -> Pick {
  let is_b = b.score > a.score || (b.score == a.score && b.token < a.token);
  return Pick(select(a.score, b.score, is_b), select(a.token, b.token, is_b), max(a.other, b.other));
}

fn packed(pick: Pick) -> vec4u { return vec4u(bitcast<u32>(pick.score), pick.token, bitcast<u32>(pick.other), 0u); }

fn unpacked(words: vec4u) -> Pick { return Pick(bitcast<f32>(words.x), words.y, bitcast<f32>(words.z)); }
