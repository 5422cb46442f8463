"""Fixture trees of Jetsons: the files that sysfs, the device tree and nvpmodel show, and a line of tegrastats each.

Written from NVIDIA's documentation and the kernel's ina3221 driver; no Jetson was at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

Rail = tuple[str, int, int]
"""Label, millivolts, milliamperes."""


@dataclass(frozen=True)
class Fixture:
    """One board as it stands, and what must be read from it."""

    model: str
    compatible: str
    release: str
    modes: Mapping[int, str]
    mode: int
    monitors: tuple[tuple[Rail, ...], ...]
    clocks: Mapping[str, int]
    heat: Mapping[str, int]
    line: str
    chip: str
    linux: str
    watts: float
    line_watts: float
    gpu_mhz: float

    def write(self, root: Path) -> Path:
        """The tree under ``root``."""
        files = {
            "proc/device-tree/model": f"{self.model}\0",
            "proc/device-tree/compatible": f"{self.compatible}\0",
            "etc/nv_tegra_release": self.release,
            "etc/nvpmodel.conf": "".join(f"< POWER_MODEL ID={n} NAME={name} >\n" for n, name in self.modes.items()),
            "var/lib/nvpmodel/status": f"pmode:{self.mode:04}\nfmode:fanNull\n",
            **{f"sys/{path}": f"{value}\n" for path, value in self.clocks.items()},
        }
        for number, (name, value) in enumerate(self.heat.items()):
            files[f"sys/class/thermal/thermal_zone{number}/type"] = f"{name}\n"
            files[f"sys/class/thermal/thermal_zone{number}/temp"] = f"{value}\n"
        for index, rails in enumerate(self.monitors):
            place = f"sys/bus/i2c/drivers/ina3221/1-00{40 + index}/hwmon/hwmon{index + 3}"
            for channel, (label, millivolts, milliamperes) in enumerate(rails, start=1):
                files[f"{place}/in{channel}_label"] = f"{label}\n"
                files[f"{place}/in{channel}_input"] = f"{millivolts}\n"
                files[f"{place}/curr{channel}_input"] = f"{milliamperes}\n"
            files[f"{place}/in7_label"] = "sum of shunt voltages\n"
            files[f"{place}/in7_input"] = "12\n"
            files[f"{place}/curr7_input"] = "999999\n"
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return root


_CPU = "devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq"
ORIN_RAILS = (("VDD_GPU_SOC", 19000, 250), ("VDD_CPU_CV", 19000, 100), ("VIN_SYS_5V0", 5000, 700))
ORIN_SECOND = (("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 5000, 150), ("NC", 0, 0))

BOARDS = {
    "agx-orin-jetpack5": Fixture(
        model="Jetson AGX Orin Developer Kit",
        compatible="nvidia,p3701-0000\0nvidia,tegra234",
        release="# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64\n",
        modes={0: "MAXN", 1: "MODE_15W", 2: "MODE_30W", 3: "MODE_50W"},
        mode=2,
        monitors=(ORIN_RAILS, ORIN_SECOND),
        clocks={"class/devfreq/17000000.ga10b/cur_freq": 612000000, _CPU.format(0): 1728000, _CPU.format(4): 729600},
        heat={"CPU-therm": 48500, "GPU-therm": 45250, "CV0-therm": -256000},
        line="11-20-2026 09:46:33 RAM 20642/62817MB (lfb 1x2MB) SWAP 0/31409MB (cached 0MB) "
        "CPU [23%@1728,1%@729,off,off,off,off,off,off,off,off,off,off] EMC_FREQ 3%@3199 GR3D_FREQ 10%@[611,0] "
        "NVENC off VIC_FREQ 729 APE 174 CV0@-256C CPU@48.5C tboard@38.5C SOC2@44.9C GPU@45.25C tj@48.5C "
        "VDD_GPU_SOC 4750mW/4700mW VDD_CPU_CV 1900mW/1900mW VIN_SYS_5V0 3500mW/3500mW VDDQ_VDD2_1V8AO 750mW/750mW",
        chip="tegra234",
        linux="35.4",
        watts=4.75 + 1.9 + 3.5,
        line_watts=10.15,
        gpu_mhz=612,
    ),
    "orin-nx-jetpack6": Fixture(
        model="NVIDIA Jetson Orin NX Engineering Reference Developer Kit Super",
        compatible="nvidia,p3768-0000+p3767-0000-super\0nvidia,p3767-0000\0nvidia,tegra234",
        release="# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n",
        modes={0: "MAXN_SUPER", 1: "10W", 2: "15W", 3: "25W"},
        mode=0,
        monitors=((("VDD_IN", 5048, 1600), ("VDD_CPU_GPU_CV", 5040, 400), ("VDD_SOC", 5040, 500)),),
        clocks={"class/devfreq/17000000.gpu/cur_freq": 1173000000, _CPU.format(0): 1984000},
        heat={"cpu-thermal": 51250, "gpu-thermal": 49093},
        line="RAM 3012/15656MB (lfb 5x4MB) SWAP 0/7828MB (cached 0MB) CPU [5%@1984,2%@1984,0%@1984,off] "
        "EMC_FREQ 3%@3199 GR3D_FREQ 99%@1173 NVDEC off cpu@51.25C soc2@49.1C gpu@49.093C "
        "VDD_IN 8077mW/8000mW VDD_CPU_GPU_CV 2016mW/2016mW VDD_SOC 2520mW/2520mW",
        chip="tegra234",
        linux="36.4",
        watts=8.0768,
        line_watts=8.077,
        gpu_mhz=1173,
    ),
    "agx-orin-jetpack7": Fixture(
        model="NVIDIA Jetson AGX Orin Developer Kit",
        compatible="nvidia,p3737-0000+p3701-0005\0nvidia,tegra234",
        release="# R39 (release), REVISION: 2.0, GCID: 40000000, BOARD: generic, EABI: aarch64\n",
        modes={0: "MAXN", 1: "MODE_15W"},
        mode=1,
        monitors=(ORIN_RAILS, ORIN_SECOND),
        clocks={"class/devfreq/17000000.gpu/cur_freq": 1300500000, _CPU.format(0): 2201600},
        heat={"cpu-thermal": 47625, "tj-thermal": 47625},
        line="11-20-2026 09:46:33 RAM 20642/62817MB (lfb 1x2MB) CPU [23%@2201,off,1%@2201] EMC_FREQ 3%@3199 "
        "GR3D_FREQ 12%@[1300,1300] gpu@47.625C/47.625C cpu@47.2C/47.3C VDD_GPU_SOC 5139mW/5139mW/5139mW "
        "VDD_CPU_CV 1000mW/1000mW/1000mW VIN_SYS_5V0 4000mW/4000mW/4000mW",
        chip="tegra234",
        linux="39.2",
        watts=10.15,
        line_watts=10.139,
        gpu_mhz=1300.5,
    ),
    "agx-xavier-jetpack5": Fixture(
        model="Jetson-AGX",
        compatible="nvidia,p2972-0000\0nvidia,tegra194",
        release="# R35 (release), REVISION: 3.1, GCID: 32827747, BOARD: t186ref, EABI: aarch64\n",
        modes={0: "MAXN", 2: "MODE_15W", 3: "MODE_30W_ALL"},
        mode=3,
        monitors=(
            (("GPU", 19000, 50), ("CPU", 19000, 60), ("SOC", 19000, 100)),
            (("CV", 19000, 10), ("VDDRQ", 19000, 20), ("SYS5V", 5000, 500)),
        ),
        clocks={"class/devfreq/17000000.gv11b/cur_freq": 905250000, _CPU.format(0): 1190400},
        heat={"CPU-therm": 41500, "PMIC-Die": 50000},
        line="RAM 4722/31002MB (lfb 4x4MB) CPU [2%@1190,1%@1190,off] EMC_FREQ 1%@1331 GR3D_FREQ 3%@905 "
        "AO@40C GPU@40.5C CPU@41.5C GPU 950mW/950mW CPU 1140mW/1140mW SOC 1900mW/1900mW CV 190mW/190mW "
        "VDDRQ 380mW/380mW SYS5V 2500mW/2500mW",
        chip="tegra194",
        linux="35.3",
        watts=0.95 + 1.14 + 1.9 + 0.19 + 0.38 + 2.5,
        line_watts=7.06,
        gpu_mhz=905.25,
    ),
    "agx-thor-jetpack7": Fixture(
        model="NVIDIA Jetson AGX Thor Developer Kit",
        compatible="nvidia,p4071-0000+p3834-0008\0nvidia,p3834-0008\0nvidia,tegra264",
        release="# R38 (release), REVISION: 4.0, GCID: 43443517, BOARD: generic, EABI: aarch64\n",
        modes={0: "MAXN", 1: "120W"},
        mode=1,
        monitors=(
            (("VDD_GPU", 12000, 1000), ("VDD_CPU_SOC_MSS", 12000, 700), ("VIN_SYS_5V0", 5000, 1200)),
            (("NC", 0, 0), ("VIN", 20000, 2000), ("NC", 0, 0)),
        ),
        clocks={"class/devfreq/gpu-gpc-0/cur_freq": 1575000000, _CPU.format(0): 2601000},
        heat={"cpu-thermal": 46000, "gpu-thermal": 44000},
        line="RAM 12000/125772MB (lfb 4x4MB) CPU [1%@2601,1%@2601] EMC_FREQ 1%@4266 GR3D_FREQ @[1575,1575,1575] "
        "cpu@46C/46C gpu@44C/44.1C VDD_GPU 12000mW/12000mW/12000mW VDD_CPU_SOC_MSS 8400mW/8400mW/8400mW "
        "VIN_SYS_5V0 6000mW/6000mW/6000mW",
        chip="tegra264",
        linux="38.4",
        watts=12 + 8.4 + 6,
        line_watts=26.4,
        gpu_mhz=1575,
    ),
}
