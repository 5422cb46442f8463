// Python bindings: convert, release the GIL, map the one error type. No logic lives here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "crc32c.hpp"
#include "span.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Bytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

splitc::ByteSpan span_of(const Bytes& bytes) { return {bytes.data(), bytes.size()}; }

std::uint32_t crc32c(const Bytes& data, std::uint32_t crc) {
  const auto span = span_of(data);
  nb::gil_scoped_release release;
  return splitc::crc32c(span, crc);
}

}  // namespace

NB_MODULE(_core, m) {
  m.doc() = "Native coders of splitc; splitc.codec.entropy is their public face.";
  m.def("crc32c", &crc32c, "data"_a, "crc"_a = 0);
}
