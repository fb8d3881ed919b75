from checkers._kernels.configs cimport Configs
from checkers._kernels.steps cimport Steps

cdef class Frontier(Steps):
    cdef int stride
    cdef public int beam
    cdef public bint cover
    cdef public bint dropped
    cdef Configs front
    cdef Configs out
    cdef unsigned long long[::1] scratch
    cdef int lanes
    cdef int left
    cdef int[::1] pending
    cdef long long[::1] lane_end
    cdef int[::1] lane_kind
    cdef long long retire_at
    cdef int room
    cdef int[::1] score
    cdef int[::1] ranked
    cdef int[::1] heads

    cdef int reduce(self) except -1 nogil
    cdef int rank(self) except -1 nogil
    cdef int keep(self, Py_ssize_t base) except -1 nogil
    cdef int beyond(self, unsigned long long[::1] row, Py_ssize_t base, unsigned long long[::1] rows, Py_ssize_t other) except -1 nogil
    cdef int join(self, unsigned long long[::1] row, Py_ssize_t base, unsigned long long[::1] rows, Py_ssize_t other) except -1 nogil
    cdef int retire(self, long long row) except -1 nogil
