from checkers._kernels.configs cimport Configs
from checkers._kernels.frontier cimport Frontier

cdef class Moves(Frontier):
    cdef Configs work
    cdef public int most
    cdef int item
    cdef int moves
    cdef int certain_moves
    cdef int[::1] move_slot
    cdef int[::1] move_kind
    cdef unsigned long long[::1] move_equal
    cdef unsigned long long[::1] kind_mask
    cdef unsigned long long[::1] blind_mask

    cdef int prepare(self, int stride) except -1
    cdef int list_moves(self) except -1 nogil
    cdef int expand_by(self, int slot, int moves) except -1 nogil
    cdef int widen_work(self, int slot) except -1 nogil
    cdef int expand(self, int slot) except -1 nogil
    cdef int move(self, int which, Py_ssize_t base) except -1 nogil
    cdef int apply(self, int slot, bint blind, bint owed, int state, int after) except -1 nogil
    cdef long long enough(self, int lane) except -1 nogil
    cdef int emit(self, int slot, int which, bint owed) except -1 nogil
