// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace accrue::testing {

/// max |got - want| / max |want|: element by element, against the tensor's
/// largest element, so that elements near 0 don't decide.
inline double max_relative_error(
    const at::Tensor& got,
    const at::Tensor& want) {
  at::Tensor difference = (got.cpu() - want.cpu()).detach().abs();
  double scale = want.detach().abs().max().item<double>();
  double worst = difference.max().item<double>();
  return scale > 0 ? worst / scale : worst;
}

/// Dtype, shape, then values; says where and by how much.
inline void expect_near(
    const at::Tensor& got,
    const at::Tensor& want,
    double rtol,
    const std::string& what) {
  ASSERT_TRUE(got.defined()) << what;
  ASSERT_EQ(got.scalar_type(), want.scalar_type()) << what;
  ASSERT_EQ(got.sizes(), want.sizes()) << what;
  double error = max_relative_error(got, want);
  if (!(error <= rtol)) {
    auto index = (got.cpu() - want.cpu())
                     .detach()
                     .abs()
                     .flatten()
                     .argmax()
                     .item<int64_t>();
    ADD_FAILURE() << what << ": relative error " << error << " > " << rtol
                  << ", worst at flat index " << index << ": got "
                  << got.flatten()[index].item<double>() << ", want "
                  << want.flatten()[index].item<double>();
  }
}

/// A folder that is gone after the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "accrue-test-XXXXXX")
            .string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const {
    return path_ / name;
  }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

/// Runs `body` and returns the message of the E it must throw.
template <class E, class Body>
std::string message_of(Body body) {
  try {
    body();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "wrong exception: " << error.what();
    return "";
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

inline void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in:\n"
                                                << text;
}

} // namespace accrue::testing
