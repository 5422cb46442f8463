// libFuzzer target: any bytes as rANS tables, with the right checksum behind them; what is accepted must code.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "fuzz_tables.hpp"
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto tables = fuzz::checked(std::vector<std::uint8_t>(data, data + size));
  try {
    const splitc::RansModel model({tables.data(), tables.size()});
    model.bits() <= 8 ? code<std::uint8_t>(model) : code<std::uint16_t>(model);
  } catch (const splitc::Error&) {
  }
  return 0;
}
