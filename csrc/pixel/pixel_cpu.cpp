// CPU twin. With AVX2 sixteen pixels of two rows at a time; otherwise, and at the right edge, the
// shared per-block functions.
#include <cstring>

#include "pixel/pixel_math.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace vasa_cam::VASA_SIMD_NAMESPACE {

#if defined(__AVX2__)
namespace {

// Eight pixels as pairs of 16-bit numbers, so that one multiply-and-add takes two channels and the
// results are in the pixels' order.
struct Pixels8 {
  __m256i red_green;
  __m256i blue;  // with zeros
};

struct Weights {
  __m256i red_green;
  __m256i blue;
};

struct Converter {
  __m256i take_red_green;  // byte shuffles of four packed pixels in each half
  __m256i take_blue;       //
  Weights luma;
  Weights blue;
  Weights red;
  std::int64_t pixel_bytes;
};

// Spreads channels `first` and, if it is one, `second` of four pixels to 16 bits each.
__m256i spread_shuffle(int channels, int first, int second) {
  alignas(32) std::int8_t indices[32];
  for (int byte = 0; byte < 32; ++byte) {
    const int pixel = (byte % 16) / 4;
    const int channel = byte % 4 < 2 ? first : second;
    const bool used = byte % 2 == 0 && channel >= 0;
    indices[byte] = static_cast<std::int8_t>(used ? pixel * channels + channel : -1);
  }
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(indices));
}

Weights repeat_weights(const std::int16_t* w) {
  const auto pair = [](std::int16_t low, std::int16_t high) {
    return _mm256_set1_epi32(
        static_cast<int>(static_cast<std::uint32_t>(static_cast<std::uint16_t>(low)) |
                         static_cast<std::uint32_t>(static_cast<std::uint16_t>(high)) << 16));
  };
  return {pair(w[0], w[1]), pair(w[2], 0)};
}

Converter make_converter(const PixelParams& p) {
  constexpr int nothing = -1;
  return {spread_shuffle(p.source_channels, 0, 1),
          spread_shuffle(p.source_channels, 2, nothing),
          repeat_weights(p.matrix.luma),
          repeat_weights(p.matrix.blue),
          repeat_weights(p.matrix.red),
          p.source_channels};
}

// Reads 16 bytes at pixel 0 and 16 at pixel 4: for RGB that is four bytes past pixel 7.
Pixels8 load_pixels(const Converter& c, const std::uint8_t* source) {
  const __m128i left = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source));
  const __m128i right =
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + 4 * c.pixel_bytes));
  const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(left), right, 1);
  return {_mm256_shuffle_epi8(both, c.take_red_green), _mm256_shuffle_epi8(both, c.take_blue)};
}

// Weighted sums, one 32-bit number a pixel: 0, 1, 2, 3 | 4, 5, 6, 7.
__m256i weigh(const Pixels8& pixels, const Weights& weights) {
  return _mm256_add_epi32(_mm256_madd_epi16(pixels.red_green, weights.red_green),
                          _mm256_madd_epi16(pixels.blue, weights.blue));
}

__m256i luma8(const Converter& c, const Pixels8& pixels) {
  const __m256i offset = _mm256_set1_epi32((1 << (kLumaShift - 1)) + (16 << kLumaShift));
  return _mm256_srai_epi32(_mm256_add_epi32(weigh(pixels, c.luma), offset), kLumaShift);
}

// Four pairs of chroma: U of pixels 0-1 and 2-3, V of them | the same of pixels 4 to 7.
__m256i chroma8(const Converter& c, const Pixels8& top, const Pixels8& bottom) {
  const Pixels8 sum{_mm256_add_epi16(top.red_green, bottom.red_green),
                    _mm256_add_epi16(top.blue, bottom.blue)};
  const __m256i pairs = _mm256_hadd_epi32(weigh(sum, c.blue), weigh(sum, c.red));
  const __m256i offset = _mm256_set1_epi32((1 << (kChromaShift - 1)) + (128 << kChromaShift));
  return _mm256_srai_epi32(_mm256_add_epi32(pairs, offset), kChromaShift);
}

// Bytes of two registers of 32-bit numbers, in order.
__m128i narrow(__m256i first, __m256i second) {
  const __m256i words = _mm256_packs_epi32(first, second);
  const __m256i bytes = _mm256_packus_epi16(words, words);
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5);
  return _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(bytes, order));
}

// Returns the first column that is left to do.
std::int64_t convert_row_pair(const PixelParams& p, const Converter& c, const ChromaLayout& chroma,
                              std::int64_t y) {
  const std::uint8_t* top = p.source + y * p.width * c.pixel_bytes;
  const std::uint8_t* bottom = top + p.width * c.pixel_bytes;
  std::uint8_t* luma_top = p.target + y * p.width;
  std::uint8_t* luma_bottom = luma_top + p.width;
  std::uint8_t* blue = chroma.blue + (y / 2) * chroma.stride;
  std::uint8_t* red = chroma.red + (y / 2) * chroma.stride;
  // The last row of an RGB picture must not be read four bytes past its end.
  const std::int64_t spare = c.pixel_bytes == 3 && y + 2 >= p.height ? 2 : 0;
  std::int64_t x = 0;
  for (; x + 16 + spare <= p.width; x += 16) {
    const std::int64_t first = x * c.pixel_bytes;
    const std::int64_t second = (x + 8) * c.pixel_bytes;
    const Pixels8 top_a = load_pixels(c, top + first);
    const Pixels8 top_b = load_pixels(c, top + second);
    const Pixels8 bottom_a = load_pixels(c, bottom + first);
    const Pixels8 bottom_b = load_pixels(c, bottom + second);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(luma_top + x),
                     narrow(luma8(c, top_a), luma8(c, top_b)));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(luma_bottom + x),
                     narrow(luma8(c, bottom_a), luma8(c, bottom_b)));
    // U U V V U U V V ...
    const __m128i pairs = narrow(chroma8(c, top_a, bottom_a), chroma8(c, top_b, bottom_b));
    if (chroma.step == 2) {
      const __m128i order = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(blue + x), _mm_shuffle_epi8(pairs, order));
    } else {
      const __m128i order = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
      const __m128i planes = _mm_shuffle_epi8(pairs, order);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(blue + x / 2), planes);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(red + x / 2), _mm_unpackhi_epi64(planes, planes));
    }
  }
  return x;
}

// Four pixels with one byte shuffle; returns the first pixel that is left to do. A store of 16
// bytes may pass the four pixels, but never the range, whose neighbour is another thread's.
std::int64_t reorder_pixels(const PixelParams& p, std::int64_t begin, std::int64_t end) {
  const int channels = packed_channels(p.format);
  const bool add_alpha = channels == 4 && p.source_channels == 3;
  alignas(16) std::int8_t indices[16];
  alignas(16) std::uint8_t constants[16];
  for (int byte = 0; byte < 16; ++byte) {
    const int pixel = byte / channels;
    const int channel = byte % channels;
    const int wanted = channel < 3 && blue_first(p.format) ? 2 - channel : channel;
    const bool used = pixel < 4 && wanted < p.source_channels;
    indices[byte] = static_cast<std::int8_t>(used ? pixel * p.source_channels + wanted : -1);
    constants[byte] = add_alpha && channel == 3 ? 255 : 0;
  }
  const __m128i order = _mm_load_si128(reinterpret_cast<const __m128i*>(indices));
  const __m128i alpha = _mm_load_si128(reinterpret_cast<const __m128i*>(constants));
  std::int64_t index = begin;
  for (; index + 6 <= end; index += 4) {
    const __m128i colours =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(p.source + index * p.source_channels));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p.target + index * channels),
                     _mm_or_si128(_mm_shuffle_epi8(colours, order), alpha));
  }
  return index;
}

}  // namespace
#endif

// Row pairs [begin, end) of a 4:2:0 frame.
void convert_rows(const PixelParams& p, std::int64_t begin, std::int64_t end) {
  const ChromaLayout chroma = chroma_layout(p);
#if defined(__AVX2__)
  const Converter converter = make_converter(p);
#endif
  for (std::int64_t pair = begin; pair < end; ++pair) {
    std::int64_t x = 0;
#if defined(__AVX2__)
    x = convert_row_pair(p, converter, chroma, 2 * pair);
#endif
    for (; x < p.width; x += 2) convert_block(p, chroma, x, 2 * pair);
  }
}

// Rows [begin, end) of a packed frame.
void reorder_rows(const PixelParams& p, std::int64_t begin, std::int64_t end) {
  const int channels = packed_channels(p.format);
  if (channels == p.source_channels && !blue_first(p.format)) {
    const std::int64_t row_bytes = p.width * channels;
    std::memcpy(p.target + begin * row_bytes, p.source + begin * row_bytes,
                static_cast<std::size_t>((end - begin) * row_bytes));
    return;
  }
  std::int64_t index = begin * p.width;
#if defined(__AVX2__)
  index = reorder_pixels(p, index, end * p.width);
#endif
  for (; index < end * p.width; ++index) reorder_pixel(p, index);
}

}  // namespace vasa_cam::VASA_SIMD_NAMESPACE
