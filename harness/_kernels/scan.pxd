from harness._kernels.ids cimport Ids
from harness._kernels.tokens cimport Tokens


cdef class Scan(Tokens):
    cdef Py_ssize_t size
    cdef public Ids fs
    cdef public Ids keys
    cdef Ids processes
    cdef long long[::1] open_rows  # of each process: the row of its open operation, or -1
    cdef public Py_ssize_t events
    cdef public Py_ssize_t rows
    cdef public Py_ssize_t strangers
    cdef public Py_ssize_t doubts
    cdef long long[::1] starts
    cdef long long[::1] strange  # events of others than clients
    cdef long long[::1] doubtful  # of clients, with a text that is not plain where it does not matter
    cdef long long[::1] invoke
    cdef long long[::1] complete
    cdef long long[::1] process
    cdef signed char[::1] outcome
    cdef short[::1] f
    cdef int[::1] key
    cdef int[::1] value
    cdef int[::1] result
    cdef int[::1] observed
    cdef int[::1] old
    cdef int[::1] new
    # the line at hand
    cdef int seen_observed
    cdef bint stranger
    cdef long long[::1] members  # where the value of each begins, or 0

    cdef int lines(self) except -1 nogil
    cdef Py_ssize_t line(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t rest(self, Py_ssize_t at, int outcome, long long process) except -1 nogil
    cdef Py_ssize_t loose_line(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t find_members(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t skip(self, int name, Py_ssize_t at) except -1 nogil
    cdef int record(self, int outcome, long long process, int f, int key, int value) except -1 nogil
