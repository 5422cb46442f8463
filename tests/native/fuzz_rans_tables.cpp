// libFuzzer target: any bytes as tables of rans or mix, with the right checksum behind them; what is accepted must
// code.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "fuzz_tables.hpp"
#include "mix_coder.hpp"
#include "rans_symbols.hpp"

namespace {

template <typename Symbol>
void code(const splitc::RansModel& model) {
  const splitc::ChunkShape shape{40, 21, 21};
  std::vector<Symbol> x(shape.size()), out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<Symbol>((i * i >> 3) % (std::size_t{1} << model.bits()));
  const splitc::SymbolChunk<Symbol> chunk{x.data(), x.data(), shape, 2};
  const auto payload = splitc::rans_encode(model, chunk);
  splitc::rans_decode(model, chunk, {payload.data(), payload.size()}, out.data());
  if (out != x) std::abort();
}

template <typename Symbol>
void code(const splitc::MixModel& model) {
  const splitc::ChunkShape shape{9, 5, 6};
  std::vector<Symbol> x(shape.size()), out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<Symbol>((i * i >> 3) % (std::size_t{1} << model.bits()));
  const auto payload = splitc::mix_encode<Symbol>(model, {x.data(), x.size()}, x.data(), shape, 2);
  splitc::mix_decode<Symbol>(model, {payload.data(), payload.size()}, x.data(), shape, 2, {out.data(), out.size()});
  if (out != x) std::abort();
}

template <typename Model>
void read(const std::vector<std::uint8_t>& tables) {
  const Model model({tables.data(), tables.size()});
  model.bits() <= 8 ? code<std::uint8_t>(model) : code<std::uint16_t>(model);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto tables = fuzz::checked(std::vector<std::uint8_t>(data, data + size));
  try {
    size > 1 && data[1] == 'M' ? read<splitc::MixModel>(tables) : read<splitc::RansModel>(tables);
  } catch (const splitc::Error&) {
  }
  return 0;
}
