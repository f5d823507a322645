// SPDX-License-Identifier: Apache-2.0
#include "report/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "accrue/core/units.h"

namespace accrue::report {
namespace {

constexpr double kWidth = 620;
constexpr double kHeight = 240;
constexpr double kLeft = 70;
constexpr double kRight = 14;
constexpr double kTop = 12;
constexpr double kBottom = 30;
constexpr size_t kMaxPoints = 1500; // more than a screen shows

constexpr const char* kStyle = R"(
:root{--ink:#1d2733;--soft:#66727f;--line:#d9dfe5;--page:#fff;--a:#1f6feb;--b:#d9480f;--c:#2f9e44}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa6b2;--line:#30363d;--page:#0d1117;--a:#58a6ff;--b:#ff922b;--c:#69db7c}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:1330px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem;margin:0 0 .2rem}h2{font-size:1rem;margin:0 0 .3rem}
.soft{color:var(--soft)}.facts{display:flex;flex-wrap:wrap;gap:.6rem 2.2rem;margin:1rem 0 1.6rem}
.facts b{display:block;font-size:1.25rem;font-variant-numeric:tabular-nums}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(560px,100%),1fr));gap:1.6rem}
svg{width:100%;height:auto}svg text{fill:var(--soft);font-size:11px}
.axis{stroke:var(--line);stroke-width:1}.s0{stroke:var(--a);fill:var(--a)}.s1{stroke:var(--b);fill:var(--b)}.s2{stroke:var(--c);fill:var(--c)}
path.line{fill:none;stroke-width:1.8;stroke-linejoin:round}.dash{stroke-dasharray:6 4}
.hit{fill:transparent;stroke:none}.hit:hover{fill:var(--ink)}
.key{display:inline-block;width:1.6em;height:0;vertical-align:middle;margin:0 .35em 0 1em}
table{border-collapse:collapse;margin-top:.5rem}td{padding:.12rem 1.2rem .12rem 0;border-bottom:1px solid var(--line)}
details{margin-top:1.6rem}td:last-child{font-family:ui-monospace,monospace;font-size:.9em}
)";

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points; // step, value
  bool dashed = false;
};

struct Chart {
  std::string title;
  std::vector<Series> series;
  std::function<std::string(double)> format;
  bool from_zero = false;
  double unit = 1; // ticks are at round multiples of this
};

std::string escape(const std::string& text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

/// Returns a distance between ticks, 1, 2 or 5 times a power of ten, for about
/// five ticks over `extent`.
double tick_step(double extent) {
  double raw = extent / 5;
  double power = std::pow(10, std::floor(std::log10(raw)));
  for (double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw) {
      return factor * power;
    }
  }
  return 10 * power;
}

/// Range of values of a chart and its mapping to the picture.
class Frame {
 public:
  explicit Frame(const Chart& chart) {
    bool first = true;
    for (const Series& series : chart.series) {
      for (auto [x, y] : series.points) {
        x0_ = first ? x : std::min(x0_, x);
        x1_ = first ? x : std::max(x1_, x);
        y0_ = first ? y : std::min(y0_, y);
        y1_ = first ? y : std::max(y1_, y);
        first = false;
      }
    }
    if (chart.from_zero) {
      y0_ = std::min(y0_, 0.0);
    }
    if (y1_ <= y0_) {
      double pad = y0_ == 0 ? 1 : std::abs(y0_) * 0.1;
      y0_ -= chart.from_zero ? 0 : pad;
      y1_ += pad;
    }
    if (x1_ <= x0_) {
      x0_ -= 1;
      x1_ += 1;
    }
    double pad = (y1_ - y0_) * 0.06;
    y1_ += pad;
    y0_ -= chart.from_zero ? 0 : pad;
  }

  double x(double value) const {
    return kLeft + (value - x0_) / (x1_ - x0_) * (kWidth - kLeft - kRight);
  }
  double y(double value) const {
    return kHeight - kBottom -
        (value - y0_) / (y1_ - y0_) * (kHeight - kTop - kBottom);
  }

  std::string axes(const Chart& chart) const {
    std::string svg;
    double step = tick_step((y1_ - y0_) / chart.unit) * chart.unit;
    for (double v = std::ceil(y0_ / step) * step; v <= y1_; v += step) {
      double shown = std::abs(v) < step * 1e-9 ? 0 : v;
      svg += fmt::format(
          "<line class=axis x1={} x2={} y1={:.1f} y2={:.1f} />"
          "<text x={} y={:.1f} text-anchor=end>{}</text>",
          kLeft,
          kWidth - kRight,
          y(v),
          y(v),
          kLeft - 8,
          y(v) + 4,
          escape(chart.format(shown)));
    }
    step = std::max(1.0, tick_step(x1_ - x0_));
    for (double v = std::ceil(x0_ / step) * step; v <= x1_; v += step) {
      svg += fmt::format(
          "<text x={:.1f} y={} text-anchor=middle>{:.0f}</text>",
          x(v),
          kHeight - 8,
          v);
    }
    return svg;
  }

 private:
  double x0_ = 0;
  double x1_ = 0;
  double y0_ = 0;
  double y1_ = 0;
};

std::string draw(const Frame& frame, const Chart& chart, size_t index) {
  const Series& series = chart.series[index];
  std::string path;
  std::string marks;
  size_t stride = series.points.size() / kMaxPoints + 1;
  for (size_t i = 0; i < series.points.size(); i += stride) {
    auto [step, value] = series.points[i];
    double x = frame.x(step);
    double y = frame.y(value);
    path += fmt::format("{}{:.1f} {:.1f}", i == 0 ? "M" : "L", x, y);
    marks += fmt::format(
        "<circle class=hit cx={:.1f} cy={:.1f} r=4><title>{}, step {}: "
        "{}</title></circle>",
        x,
        y,
        escape(series.name),
        step,
        escape(chart.format(value)));
  }
  if (series.points.size() == 1) {
    marks += fmt::format(
        "<circle class=s{} cx={:.1f} cy={:.1f} r=3 />",
        index,
        frame.x(series.points[0].first),
        frame.y(series.points[0].second));
  }
  return fmt::format(
      "<path class=\"line s{}{}\" d=\"{}\"/>{}",
      index,
      series.dashed ? " dash" : "",
      path,
      marks);
}

std::string render(const Chart& chart) {
  Frame frame(chart);
  std::string svg = frame.axes(chart);
  std::string keys;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    svg += draw(frame, chart, i);
    if (chart.series.size() > 1) {
      keys += fmt::format(
          "<span class=key style=\"border-top:3px {} var(--{})\"></span>{}",
          chart.series[i].dashed ? "dashed" : "solid",
          "abc"[i],
          escape(chart.series[i].name));
    }
  }
  return fmt::format(
      "<section><h2>{} <span class=soft style=\"font-weight:400\">{}</span>"
      "</h2><svg viewBox=\"0 0 {} {}\" role=img aria-label=\"{} over optimizer "
      "steps\">{}</svg></section>\n",
      escape(chart.title),
      keys,
      kWidth,
      kHeight,
      escape(chart.title),
      svg);
}

Series series(
    const std::string& name,
    const std::vector<StepMetrics>& metrics,
    const std::function<double(const StepMetrics&)>& value) {
  Series series{.name = name};
  for (const StepMetrics& m : metrics) {
    double y = value(m);
    if (std::isfinite(y)) {
      series.points.emplace_back(static_cast<double>(m.step), y);
    }
  }
  return series;
}

std::string number(double value) {
  return fmt::format("{:.4g}", value);
}

std::string bytes(double value) {
  return format_bytes(static_cast<uint64_t>(std::max(value, 0.0)));
}

/// Adds a series unless it has no points.
void add_if_any(Chart& chart, Series series) {
  if (!series.points.empty()) {
    chart.series.push_back(std::move(series));
  }
}

Chart loss_chart(const std::vector<StepMetrics>& metrics) {
  Chart loss{.title = "Loss", .format = number};
  loss.series = {series("training", metrics, [](auto& m) { return m.loss; })};
  add_if_any(loss, series("validation", metrics, [](auto& m) {
               return m.valid_loss.value_or(NAN);
             }));
  return loss;
}

Chart memory_chart(
    const PageInfo& info,
    const std::vector<StepMetrics>& metrics) {
  Chart memory{
      .title = "Peak memory",
      .format = bytes,
      .from_zero = true,
      .unit = 1 << 20};
  memory.series = {
      series(
          "tensors",
          metrics,
          [](auto& m) { return static_cast<double>(m.peak_bytes); }),
      series("process", metrics, [](auto& m) {
        return static_cast<double>(m.resident_peak_bytes);
      })};
  uint64_t highest = metrics.back().resident_peak_bytes;
  if (std::max(highest, info.budget_bytes) > uint64_t{4} << 30) {
    memory.unit = 1 << 30;
  }
  if (info.budget_bytes > 0) {
    memory.series.push_back(series("budget", metrics, [&](auto&) {
      return static_cast<double>(info.budget_bytes);
    }));
    memory.series.back().dashed = true;
  }
  return memory;
}

/// Returns the chart of reward margins, without series if there are none.
Chart margin_chart(const std::vector<StepMetrics>& metrics) {
  Chart margin{.title = "Reward margin", .format = number};
  add_if_any(margin, series("training", metrics, [](auto& m) {
               return m.reward_margin.value_or(NAN);
             }));
  if (!margin.series.empty()) {
    add_if_any(margin, series("validation", metrics, [](auto& m) {
                 return m.valid_reward_margin.value_or(NAN);
               }));
  }
  return margin;
}

std::vector<Chart> charts(
    const PageInfo& info,
    const std::vector<StepMetrics>& metrics) {
  std::vector<Chart> all{loss_chart(metrics)};
  if (Chart margin = margin_chart(metrics); !margin.series.empty()) {
    all.push_back(std::move(margin));
  }
  Chart lr{.title = "Learning rate", .format = number, .from_zero = true};
  lr.series = {series("lr", metrics, [](auto& m) { return m.lr; })};
  Chart norm{
      .title = "Gradient norm before clipping",
      .format = number,
      .from_zero = true};
  norm.series = {series("norm", metrics, [](auto& m) { return m.grad_norm; })};
  Chart speed{
      .title = "Throughput, tokens per second",
      .format = format_count,
      .from_zero = true};
  speed.series = {
      series("tokens/s", metrics, [](auto& m) { return m.tokens_per_s; })};
  all.insert(all.end(), {lr, norm, speed, memory_chart(info, metrics)});
  return all;
}

/// Returns a list of all warnings.
std::string warnings(const std::vector<StepMetrics>& metrics) {
  std::string items;
  for (const StepMetrics& m : metrics) {
    for (const std::string& warning : m.warnings) {
      items += fmt::format("<li>step {}: {}\n", m.step, escape(warning));
    }
  }
  return items.empty() ? "" : "<h2>Warnings</h2><ul>" + items + "</ul>";
}

std::string facts(const std::vector<StepMetrics>& metrics) {
  const StepMetrics& last = metrics.back();
  double seconds = 0;
  int64_t tokens = 0;
  uint64_t resident = 0;
  for (const StepMetrics& m : metrics) {
    seconds += m.step_s;
    tokens += m.tokens;
    resident = std::max(resident, m.resident_peak_bytes);
  }
  auto fact = [](const std::string& name, const std::string& value) {
    return fmt::format(
        "<div><b>{}</b><span class=soft>{}</span></div>", value, name);
  };
  return "<div class=facts>" + fact("steps", fmt::format("{}", last.step)) +
      fact("first loss", fmt::format("{:.4f}", metrics.front().loss)) +
      fact("last loss", fmt::format("{:.4f}", last.loss)) +
      fact("samples per step",
           fmt::format(
               "{} = {} &times; {}",
               last.samples,
               last.accumulation_steps,
               last.micro_batch)) +
      fact("tokens", format_count(static_cast<double>(tokens))) +
      fact("time", format_duration(seconds)) +
      fact("peak of the process", format_bytes(resident)) + "</div>\n";
}

} // namespace

std::string render_page(
    const PageInfo& info,
    const std::vector<StepMetrics>& metrics) {
  std::string page = fmt::format(
      "<!doctype html><html lang=en><meta charset=utf-8>"
      "<meta name=viewport content=\"width=device-width,initial-scale=1\">"
      "<title>{0}</title><style>{1}</style>\n<h1>{0}</h1>"
      "<div class=soft>accrue training report, over optimizer steps</div>\n",
      escape(info.title),
      kStyle);
  if (metrics.empty()) {
    page += "<p>No step has finished yet.</p>";
  } else {
    page += facts(metrics) + warnings(metrics) + "<div class=grid>";
    for (const Chart& chart : charts(info, metrics)) {
      page += render(chart);
    }
    page += "</div>";
  }
  page += "<details open><summary>Settings</summary><table>";
  for (const auto& [name, value] : info.settings) {
    page += fmt::format("<tr><td>{}<td>{}\n", escape(name), escape(value));
  }
  return page + "</table></details></html>\n";
}

} // namespace accrue::report
