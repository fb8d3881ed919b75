from harness._kernels.ids cimport Ids


cdef class Scan:
    cdef const unsigned char[::1] data
    cdef Py_ssize_t size
    cdef const unsigned char[::1] literals
    cdef const int[::1] bounds
    cdef public Ids fs
    cdef public Ids keys
    cdef public Ids values
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
    cdef int kind
    cdef long long one
    cdef long long two
    cdef int seen_observed
    cdef int seen_old
    cdef int seen_new
    cdef bint stranger
    cdef bint doubt

    cdef int lines(self) except -1 nogil
    cdef Py_ssize_t line(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t rest(self, Py_ssize_t at, int outcome, long long process) except -1 nogil
    cdef int record(self, int outcome, long long process, int f, int key, int value) except -1 nogil
    cdef Py_ssize_t literal(self, Py_ssize_t at, int which) except -1 nogil
    cdef Py_ssize_t number(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t text(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t any_text(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t line_end(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t simple(self, Py_ssize_t at) except -1 nogil
    cdef int known(self) except -1 nogil
    cdef Py_ssize_t content(self, Py_ssize_t at) except -1 nogil
