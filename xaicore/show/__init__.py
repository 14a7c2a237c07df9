"""What people see of an explanation: pictures, drawings, captions, pages."""
