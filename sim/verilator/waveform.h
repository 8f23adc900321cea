// A waveform of the model: a window of cycles, or the last cycles in two parts used by turns.

#ifndef WEFT_WAVEFORM_H
#define WEFT_WAVEFORM_H

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "Vweft.h"

#if VM_TRACE_FST
#include "verilated_fst_c.h"
#elif VM_TRACE_VCD
#include "verilated_vcd_c.h"
#endif

namespace weft {

constexpr uint64_t PERIOD = 10;  // nanoseconds: the model's unit of time
constexpr uint64_t HALF = PERIOD / 2;

#if VM_TRACE

class Waveform {
public:
    // Cycles `first` to `end` - 1 into `path`; with `part` cycles a part, the whole run into
    // `path`.0, `path`.1, `path`.0 and so on, of which the last two remain.
    Waveform(VerilatedContext& context, Vweft& model, std::string path, uint64_t first,
             uint64_t end, uint64_t part)
        : m_path{std::move(path)}, m_first{first}, m_end{end}, m_part{part} {
        context.traceEverOn(true);
        model.trace(&m_file, LEVELS);
        // What cannot be written is found out before the run.
        open(m_part ? m_path + ".0" : m_path);
    }

    ~Waveform() { close(); }

    // A rising edge begins `cycle`; the clock falls in the middle of it.
    void rise(uint64_t cycle) {
        if (m_part && cycle / m_part != m_index) {
            close();
            m_index = cycle / m_part;
            open(m_path + (m_index & 1 ? ".1" : ".0"));
        }
        dump(cycle, PERIOD * cycle - HALF);
    }
    void fall(uint64_t cycle) { dump(cycle, PERIOD * cycle); }

    void close() {
        if (m_file.isOpen()) m_file.close();
    }

private:
    static constexpr int LEVELS = 99;
#if VM_TRACE_FST
    VerilatedFstC m_file;
#else
    VerilatedVcdC m_file;
#endif
    const std::string m_path;
    const uint64_t m_first, m_end, m_part;
    uint64_t m_index = 0;

    void open(const std::string& path) {
        m_file.open(path.c_str());
        if (!m_file.isOpen()) throw std::runtime_error("cannot write " + path);
    }

    void dump(uint64_t cycle, uint64_t time) {
        if (cycle < m_first || !m_file.isOpen()) return;
        if (cycle >= m_end) return close();
        m_file.dump(time);
    }
};

#else

// A model built without: there is none to make.
class Waveform {
public:
    Waveform(VerilatedContext&, Vweft&, std::string, uint64_t, uint64_t, uint64_t) {
        throw std::logic_error("this model was built without a waveform");
    }
    void rise(uint64_t) {}
    void fall(uint64_t) {}
    void close() {}
};

#endif

}  // namespace weft

#endif
