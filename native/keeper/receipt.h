#pragma once

namespace vprocfs {

/// Whether the worker that everything was sent to over this connection has it, so that it need not
/// be kept (kReceiptWanted). False: it has ended or hangs, and takes nothing any more.
bool is_receipt_given(int worker);

}  // namespace vprocfs
