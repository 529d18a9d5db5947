// Readers of the step metadata, which every kernel binds as `step: array<u32>`. Layout: src/kernels/step-layout.ts.
// From outside: SEGMENT_COUNT_AT, SEGMENTS_AT, PARTS_AT, ROWS_AT, LOGIT_ROWS_AT, SAMPLERS_AT.

// One token of the batch. `token` may name a state slot instead (lib/state).
struct Row { token: u32, position: u32, block_row: u32 }

// Rows next to each other that have the same adapters; at most 4, so that one thread serves a segment.
struct Segment { row_start: u32, row_count: u32, part_start: u32, part_count: u32, v_row: u32 }

// One adapter of a segment and its scale there.
struct Part { slot: u32, scale: f32 }

fn row_count() -> u32 { return step[0]; }
fn segment_count() -> u32 { return step[SEGMENT_COUNT_AT]; }   // of batch rows, or of logit rows: as the kernel is made
fn rank_quads() -> u32 { return step[2]; }   // of the widest adapter in this step
fn logit_row_count() -> u32 { return step[3]; }
fn sampler_count() -> u32 { return step[4]; }

fn row_at(i: u32) -> Row {
  let at = ROWS_AT + i * 4u;
  return Row(step[at], step[at + 1u], step[at + 2u]);
}

// The slot of the row's adapter, where it has one alone; else 0.
fn adapter_of(row: u32) -> u32 { return step[ROWS_AT + row * 4u + 3u]; }

fn segment_at(i: u32) -> Segment {
  let at = SEGMENTS_AT + i * 8u;
  return Segment(step[at], step[at + 1u], step[at + 2u], step[at + 3u], step[at + 4u]);
}

fn part_at(i: u32) -> Part {
  let at = PARTS_AT + i * 2u;
  return Part(step[at], bitcast<f32>(step[at + 1u]));
}

// The batch row whose logits are row i of the logits.
fn logit_row_at(i: u32) -> u32 { return step[LOGIT_ROWS_AT + i]; }

// Where sampler i's record starts; lib/sampler reads it.
fn record_at(i: u32) -> u32 { return SAMPLERS_AT + i * 16u; }
