// SPDX-License-Identifier: Apache-2.0
#pragma once

// Everything a user may include. The parts can be included one by one.
#include "accrue/core/error.h"
#include "accrue/core/export.h"
#include "accrue/core/random.h"
#include "accrue/core/units.h"
#include "accrue/core/version.h"
#include "accrue/device/device.h"
#include "accrue/drive/accumulate.h"
#include "accrue/generate/generate.h"
#include "accrue/generate/sampler.h"
#include "accrue/io/safetensors.h"
#include "accrue/models/config.h"
#include "accrue/models/transformer.h"
#include "accrue/optim/optimizer.h"
#include "accrue/optim/schedule.h"
#include "accrue/tensor/activation.h"
#include "accrue/tensor/types.h"
#include "accrue/window/accumulators.h"
#include "accrue/window/loss.h"
#include "accrue/window/split.h"
#include "accrue/window/window.h"
