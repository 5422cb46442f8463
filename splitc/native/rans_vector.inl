// The rANS coder's loops on vectors of lanes (FORMAT.md, "rans payload"). Included once for every instruction set,
// inside its namespace, after its vocabulary: `U32` (kWidth unsigned integers), `Flags` (one a lane) and functions on them.

/// A stretch's lanes in registers.
template <unsigned kVectors>
struct Lanes {
  U32 table[kVectors], x[kVectors];
  Flags north[kVectors];

  inline explicit Lanes(const LaneState& state) {
    for (unsigned v = 0; v < kVectors; ++v) {
      table[v] = load_words(&state.table[v * kWidth]);
      x[v] = load_words(&state.x[v * kWidth]);
      north[v] = flags_of(load_words(&state.north[v * kWidth]));
    }
  }
  inline void store(LaneState& state) const {
    for (unsigned v = 0; v < kVectors; ++v) store_words(&state.x[v * kWidth], x[v]);
  }
};

/// Contexts from neighbours, by the same rules as `ContextChooser`.
struct VectorChooser {
  ContextTable contexts;
  U32 sums, low, high, none, most;

  explicit inline VectorChooser(const RansView& view)
      : contexts(view.contexts(), kLevels * view.sums()),
        sums(set_all(static_cast<std::uint32_t>(view.sums()))),
        low(set_all(view.activity_low())),
        high(set_all(view.activity_high())),
        none(set_all(view.no_context())),
        most(set_all(static_cast<std::uint32_t>(view.sums() - 1))) {}

  inline U32 by(U32 activity, U32 sum) const {
    const U32 one_up = add_where(greater(activity, low), sum, sums);
    return contexts.at(add_where(greater(activity, high), one_up, sums));
  }
  inline U32 spatial(U32 west, U32 north, U32 north_west) const {
    return by(add(magnitude(sub(west, north_west)), magnitude(sub(north, north_west))), add(west, north));
  }
  inline U32 temporal(U32 west, U32 north, U32 at) const {
    const U32 expected = add(add(at, at), add(west, north));
    return by(add(magnitude(west), magnitude(north)), least(greatest(expected, set_all(0)), most));
  }
};

/// Context of a vector of lanes; `past` is its place in the previous frame.
template <bool kTemporal, bool kHasWest>
inline U32 context_of(const VectorChooser& chooser, const std::uint8_t* past, std::size_t lanes, std::size_t row_size,
                      Flags has_north, U32 west, U32 north, U32 north_west) {
  if (kTemporal) {
    const U32 above = pick(has_north, sub(north, load_bytes(past - row_size)), set_all(0));
    if (!kHasWest) return chooser.temporal(above, above, load_bytes(past));
    const U32 left = sub(west, load_bytes(past - lanes));
    return chooser.temporal(left, pick(has_north, above, left), load_bytes(past));
  }
  if (!kHasWest) return pick(has_north, chooser.by(set_all(0), add(north, north)), chooser.none);
  return chooser.spatial(west, pick(has_north, north, west), pick(has_north, north_west, west));
}

/// Frequencies and starts of symbols. Holds what it reads of the view: byte stores might alias the view itself.
struct EntryFinder {
  const std::uint32_t* entries;
  U32 bits;

  explicit inline EntryFinder(const RansView& view) : entries(view.entries()), bits(set_all(view.bits())) {}
  inline U32 at(U32 table, U32 symbol) const { return gather(entries, or_(shift_left_each(table, bits), symbol)); }
};

/// `x / divisor` for `divisor` in 1..4095 and quotients below 2**19: an approximation in binary32, made exact.
struct Division {
  U32 quotient, remainder;

  inline Division(U32 x, U32 divisor) {
    const U32 guess = approximate_quotient(x, divisor);
    const U32 rest = sub(x, multiply(guess, divisor));
    const Flags is_below = greater(set_all(0), rest), is_above = greater(rest, sub(divisor, set_all(1)));
    quotient = add_where(is_above, add_where(is_below, guess, set_all(~0u)), set_all(1));
    remainder = add_where(is_below, pick(is_above, sub(rest, divisor), rest), divisor);
  }
};

template <unsigned kVectors, bool kTemporal, bool kHasWest>
inline std::uint16_t* encode_step(const EntryFinder& entries, const VectorChooser& chooser, Lanes<kVectors>& lanes,
                                  const Stretch<const std::uint8_t>& s, std::size_t column, std::uint16_t* words) {
  constexpr std::size_t kLanes = kVectors * kWidth;
  const U32 zero = set_all(0);
  for (unsigned v = kVectors; v-- > 0;) {
    const std::uint8_t* const at = s.row + column * kLanes + v * kWidth;
    const std::uint8_t* const past = kTemporal ? s.previous + column * kLanes + v * kWidth : nullptr;
    const U32 context = context_of<kTemporal, kHasWest>(
        chooser, past, kLanes, s.row_size, lanes.north[v], kHasWest ? load_bytes(at - kLanes) : zero,
        load_bytes(at - s.row_size), kHasWest && !kTemporal ? load_bytes(at - s.row_size - kLanes) : zero);
    const U32 entry = entries.at(add(lanes.table[v], context), load_bytes(at));
    const U32 frequency = and_(entry, set_all(0xFFFF)), x = lanes.x[v];
    const Flags is_full = greater(x, sub(shift_left<19>(frequency), set_all(1)));
    words = give_words(words, x, is_full);
    const Division by_frequency(pick(is_full, shift_right<16>(x), x), frequency);
    lanes.x[v] = add(add(shift_left<kProbabilityBits>(by_frequency.quotient), by_frequency.remainder),
                     shift_right<16>(entry));
  }
  return words;
}

template <unsigned kVectors, bool kTemporal>
std::uint16_t* encode_stretch(const RansView& view, LaneState& state, const Stretch<const std::uint8_t>& s,
                              std::uint16_t* words) {
  const VectorChooser chooser(view);
  const EntryFinder entries(view);
  Lanes<kVectors> lanes(state);
  const std::size_t first = s.begin == 0 ? 1 : s.begin;
  for (std::size_t x = s.end; x-- > first;)
    words = encode_step<kVectors, kTemporal, true>(entries, chooser, lanes, s, x, words);
  if (s.begin == 0) words = encode_step<kVectors, kTemporal, false>(entries, chooser, lanes, s, 0, words);
  lanes.store(state);
  return words;
}

/// The symbols of slots.
struct SymbolFinder {
  const std::uint32_t* words;
  U32 word_shift, log2_width, place_mask, symbol_mask;

  explicit inline SymbolFinder(const PackedSymbols& symbols)
      : words(symbols.words()),
        word_shift(set_all(symbols.word_shift())),
        log2_width(set_all(symbols.log2_width())),
        place_mask(set_all(symbols.place_mask())),
        symbol_mask(set_all(symbols.symbol_mask())) {}

  inline U32 at(U32 slot) const {
    const U32 word = gather(words, shift_right_each(slot, word_shift));
    return and_(shift_right_each(word, shift_left_each(and_(slot, place_mask), log2_width)), symbol_mask);
  }
};

/// What decoding carries from step to step in registers.
template <unsigned kVectors>
struct Behind {
  U32 west[kVectors], north_west[kVectors];
};

template <unsigned kVectors, bool kTemporal, bool kHasWest>
inline const std::uint16_t* decode_step(const EntryFinder& entries, const VectorChooser& chooser, const SymbolFinder& finder,
                                        Lanes<kVectors>& lanes, Behind<kVectors>& behind,
                                        const Stretch<std::uint8_t>& s, std::size_t column,
                                        const std::uint16_t* words) {
  constexpr std::size_t kLanes = kVectors * kWidth;
  for (unsigned v = 0; v < kVectors; ++v) {
    std::uint8_t* const at = s.row + column * kLanes + v * kWidth;
    const std::uint8_t* const past = kTemporal ? s.previous + column * kLanes + v * kWidth : nullptr;
    const U32 north = load_bytes(at - s.row_size), x = lanes.x[v];
    const U32 context = context_of<kTemporal, kHasWest>(chooser, past, kLanes, s.row_size, lanes.north[v],
                                                        behind.west[v], north, behind.north_west[v]);
    const U32 table = add(lanes.table[v], context);
    const U32 slot = and_(x, set_all(kProbabilityOne - 1));
    const U32 symbol = finder.at(or_(shift_left<kProbabilityBits>(table), slot));
    const U32 entry = entries.at(table, symbol);
    store_bytes(at, symbol);
    behind.west[v] = symbol;
    behind.north_west[v] = north;
    const U32 next = add(multiply(and_(entry, set_all(0xFFFF)), shift_right<kProbabilityBits>(x)),
                         sub(slot, shift_right<16>(entry)));
    lanes.x[v] = take_words(words, next, greater(set_all(kStateLow), next));
  }
  return words;
}

template <unsigned kVectors, bool kTemporal>
const std::uint16_t* decode_stretch(const RansView& view, LaneState& state, const Stretch<std::uint8_t>& s,
                                    const std::uint16_t* words) {
  constexpr std::size_t kLanes = kVectors * kWidth;
  const VectorChooser chooser(view);
  const EntryFinder entries(view);
  const SymbolFinder finder(view.symbols());
  Lanes<kVectors> lanes(state);
  Behind<kVectors> behind;
  for (unsigned v = 0; v < kVectors; ++v) behind.west[v] = behind.north_west[v] = set_all(0);
  std::size_t column = s.begin;
  if (column == 0) {
    words = decode_step<kVectors, kTemporal, false>(entries, chooser, finder, lanes, behind, s, column++, words);
  } else {
    const std::uint8_t* const before = s.row + (column - 1) * kLanes;
    for (unsigned v = 0; v < kVectors; ++v) {
      behind.west[v] = load_bytes(before + v * kWidth);
      behind.north_west[v] = load_bytes(before + v * kWidth - s.row_size);
    }
  }
  for (; column < s.end; ++column)
    words = decode_step<kVectors, kTemporal, true>(entries, chooser, finder, lanes, behind, s, column, words);
  lanes.store(state);
  return words;
}
