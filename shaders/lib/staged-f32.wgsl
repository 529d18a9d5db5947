// Four numbers of an operand in workgroup memory, as f32.
alias Staged = vec4f;

fn stage(v: vec4f) -> Staged { return v; }
fn unstage(v: Staged) -> vec4f { return v; }
