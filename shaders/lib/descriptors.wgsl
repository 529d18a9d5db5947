// What a resident adapter does to one site of this layer; `descriptors: array<u32>` is the layer's `[slot][site]` table of
// 8 words. All zero (slot 0, or a site the adapter leaves alone) means rank 0: nothing to do.
// From outside: SITES_IN_MODEL.
struct Descriptor { a: u32, b: u32, rank: u32, scale: f32, out_start: u32, out_count: u32 }

fn descriptor_at(slot: u32, site: u32) -> Descriptor {
  let at = (slot * SITES_IN_MODEL + site) * 8u;
  return Descriptor(descriptors[at], descriptors[at + 1u], descriptors[at + 2u], bitcast<f32>(descriptors[at + 3u]),
    descriptors[at + 4u], descriptors[at + 5u]);
}

// Its rank, and which quads of columns it changes.
struct SiteColumns { rank: u32, start: u32, end: u32 }

fn columns_at(slot: u32, site: u32) -> SiteColumns {
  let at = (slot * SITES_IN_MODEL + site) * 8u;
  let start = descriptors[at + 4u] / 4u;
  return SiteColumns(descriptors[at + 2u], start, start + descriptors[at + 5u] / 4u);
}
